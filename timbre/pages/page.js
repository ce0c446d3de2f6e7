// What the page does: takes a clip, asks the server, shows what it says.

import { showAnswer, showModel } from "/answer.js";
import { Recorder, toWav } from "/sound.js";

const TRIES = 5; // while others are answered
const REASONS = {
  NotAllowedError: "The browser was not allowed to use a microphone. Allow it beside the address, then press Record again.",
  NotFoundError: "This computer has no microphone that the browser can use.",
  NotReadableError: "Another program holds the microphone.",
  SecurityError: "Browsers record only on a secure page: open this one as http://localhost, or through https.",
};

const at = (id) => document.getElementById(id);
const player = at("player");
let model = null;
let asking = null; // what the newest clip's request is cancelled by
let recorder = null;

const say = (text) => { at("status").textContent = text; };

function complain(text) {
  say("");
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

const wait = (seconds) => new Promise((resolve) => { setTimeout(resolve, 1000 * seconds); });

/** Answer for a clip. What the server cannot decode is decoded here, if the browser can. */
async function take(blob, name, isRecording) {
  asking?.abort();
  const own = new AbortController();
  asking = own;
  complain("");
  at("result").hidden = true;
  say(`Listening to ${name} …`);
  try {
    const { answer, heard } = await answerFor(blob, isRecording, own.signal);
    if (own.signal.aborted) return;
    showPlayer(heard);
    showAnswer(answer, model, play);
    say(name);
  } catch (error) {
    if (!own.signal.aborted) complain(`${name}: ${error.message}`);
  }
}

/** Return the answer and what it is about, which is what is played. */
async function answerFor(blob, isRecording, signal) {
  // A recording has no length before it is decoded, so that no player finds a place in it.
  const first = isRecording ? await toWav(blob, model.sample_rate) : blob;
  try {
    return { answer: await ask(first, signal), heard: first };
  } catch (error) {
    if (error.code !== "undecodable" || isRecording) throw error;
    const converted = await toWav(blob, model.sample_rate).catch(() => null);
    if (converted === null) throw error; // nor can the browser: what the server says counts
    return { answer: await ask(converted, signal), heard: converted };
  }
}

async function ask(blob, signal) {
  if (blob.size > model.max_mb * 1e6) {
    throw new Error(`This clip has ${(blob.size / 1e6).toFixed(1)} MB, and the server takes ${model.max_mb} MB at most.`);
  }
  const headers = { "Content-Type": blob.type.startsWith("audio/") ? blob.type : "application/octet-stream" };
  for (let number = 1; ; number += 1) {
    const reply = await send(blob, headers, signal);
    if (reply.status === 503 && number < TRIES) {
      await wait(Number(reply.headers.get("Retry-After")) || 2);
      continue;
    }
    const told = await reply.json();
    if (reply.ok) return told;
    throw Object.assign(new Error(told.error.message), { code: told.error.code });
  }
}

async function send(body, headers, signal) {
  try {
    return await fetch("/api/predict?timeline=1&spectrogram=1", { method: "POST", body, headers, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Error("The server does not answer. Is `timbre serve` still running?");
  }
}

function showPlayer(blob) {
  if (player.src) URL.revokeObjectURL(player.src);
  at("silent").hidden = true;
  player.hidden = false;
  player.src = URL.createObjectURL(blob);
}

function play(seconds) {
  player.currentTime = seconds;
  player.play().catch(() => {}); // what cannot be played is told by the player's error
}

function follow() {
  const part = player.currentTime / Number(at("spectrogram").dataset.seconds);
  at("playhead").style.left = `${Math.min(100, 100 * part)}%`;
  if (!player.paused) requestAnimationFrame(follow);
}

async function toggleRecording() {
  if (recorder) {
    recorder.stop();
    return;
  }
  complain("");
  const started = new Recorder(model.max_seconds, (seconds) => say(`Recording: ${seconds} s`));
  try {
    recorder = started;
    await started.start();
    setRecording(true);
    const whole = await started.whole;
    recorder = null;
    setRecording(false);
    await take(whole, "Your recording", true);
  } catch (error) {
    recorder = null;
    complain(REASONS[error.name] || `The browser cannot record: ${error.message}`);
  }
}

function setRecording(on) {
  at("record").textContent = on ? "Stop" : "Record";
  at("record").classList.toggle("on", on);
}

function takeFirst(files) {
  if (!files.length) return;
  take(files[0], files[0].name, false);
}

function listen() {
  at("file").addEventListener("change", (event) => {
    takeFirst([...event.target.files]);
    event.target.value = ""; // the same file may be chosen again
  });
  at("record").addEventListener("click", toggleRecording);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  document.addEventListener("dragleave", () => document.body.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    takeFirst([...event.dataTransfer.files]);
  });
  at("spectrogram").addEventListener("click", (event) => {
    play((event.offsetX / event.target.clientWidth) * Number(event.target.dataset.seconds));
  });
  player.addEventListener("play", follow);
  player.addEventListener("seeked", follow);
  player.addEventListener("error", () => {
    player.hidden = true;
    at("silent").hidden = false;
  });
}

async function begin() {
  try {
    model = await (await fetch("/api/model")).json();
  } catch {
    complain("The server does not answer. Is `timbre serve` still running?");
    return;
  }
  showModel(model);
  listen();
}

begin();
