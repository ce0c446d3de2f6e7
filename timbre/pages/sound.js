// From what a browser can record or decode to 16-bit WAV, which the server reads.

const HEADER_BYTES = 44;

/** Decode `blob` at `rate` Hz, by the browser's own decoders; throws where it has none for it. */
export async function toWav(blob, rate) {
  const decoder = new OfflineAudioContext(1, 1, rate);
  const sound = await decoder.decodeAudioData(await blob.arrayBuffer());
  const channels = Array.from({ length: Math.min(2, sound.numberOfChannels) }, (_, number) =>
    sound.getChannelData(number));
  return new Blob([header(channels, rate), samples(channels)], { type: "audio/wav" });
}

function header(channels, rate) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  const frameBytes = 2 * channels.length;
  const dataBytes = frameBytes * channels[0].length;
  const text = (at, letters) =>
    [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + dataBytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of this chunk
  view.setUint16(20, 1, true); // integer samples
  view.setUint16(22, channels.length, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * frameBytes, true);
  view.setUint16(32, frameBytes, true);
  view.setUint16(34, 16, true); // bits
  text(36, "data");
  view.setUint32(40, dataBytes, true);
  return view.buffer;
}

function samples(channels) {
  const view = new DataView(new ArrayBuffer(2 * channels.length * channels[0].length));
  let at = 0;
  for (let n = 0; n < channels[0].length; n += 1) {
    for (const channel of channels) {
      const whole = Math.round(channel[n] * 32768);
      view.setInt16(at, Math.max(-32768, Math.min(32767, whole)), true);
      at += 2;
    }
  }
  return view.buffer;
}

/** Records until it is stopped, or for `mostSeconds`. */
export class Recorder {
  constructor(mostSeconds, onSecond) {
    this.mostSeconds = mostSeconds;
    this.onSecond = onSecond;
  }

  /** Begin; throws what the browser says where there is no microphone or no permission. */
  async start() {
    if (!navigator.mediaDevices || !window.MediaRecorder) throw new DOMException("", "SecurityError");
    // As it is: what calls clean for people's ears is not what the model was trained on.
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    this.stream = await navigator.mediaDevices.getUserMedia({ audio });
    const parts = [];
    this.recorder = new MediaRecorder(this.stream);
    this.recorder.ondataavailable = (event) => parts.push(event.data);
    this.whole = new Promise((resolve) => {
      this.recorder.onstop = () => resolve(new Blob(parts, { type: this.recorder.mimeType }));
    });
    this.recorder.start();
    const began = performance.now();
    this.clock = setInterval(() => {
      const seconds = Math.floor((performance.now() - began) / 1000);
      this.onSecond(seconds);
      if (seconds >= this.mostSeconds) this.stop();
    }, 250);
  }

  stop() {
    clearInterval(this.clock);
    if (this.recorder.state !== "inactive") this.recorder.stop();
    this.stream.getTracks().forEach((track) => track.stop()); // the browser's red light goes out
  }
}
