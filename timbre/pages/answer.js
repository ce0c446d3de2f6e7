// Shows an answer: words, bars, spectrogram, timeline. Names of classes are text, in any script.

const MOST_BARS = 5;
const COLOURS = [[0, 0, 4], [43, 14, 84], [120, 28, 109], [197, 51, 72], [244, 119, 25], [250, 200, 60], [252, 255, 200]];

const at = (id) => document.getElementById(id);

export const share = (value) => `${(100 * value).toFixed(1)} %`;

export function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** A class's name, which may be written from right to left. */
export function className(label) {
  const made = element("bdi", label, "name");
  made.dir = "auto";
  return made;
}

export function showAnswer(answer, model, play) {
  at("result").classList.toggle("unknown", !answer.known);
  showWords(answer, model);
  const sorted = Object.entries(answer.probs).sort((one, other) => other[1] - one[1]);
  at("likeliest").replaceChildren(...sorted.slice(0, MOST_BARS).map(bar));
  at("others").hidden = sorted.length <= MOST_BARS;
  at("all").replaceChildren(...sorted.map(bar));
  draw(answer.spectrogram);
  at("spectrogram").dataset.seconds = answer.seconds;
  const hues = new Map(model.classes.map((label, n) => [label, Math.round(n * 137.5) % 360]));
  const shown = answer.timeline.map((stretch) => ({ ...stretch, hue: hues.get(stretch.label) }));
  at("timeline").replaceChildren(...shown.map((stretch) => block(stretch, answer.seconds, play)));
  at("stretches").replaceChildren(...shown.map((stretch) => row(stretch, play)));
  at("seconds").replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((part) =>
    element("span", `${(part * answer.seconds).toFixed(1)} s`)));
  at("result").hidden = false;
}

function showWords(answer, model) {
  const name = className(answer.likeliest);
  if (answer.known) {
    at("verdict").replaceChildren("Sounds like ", name);
    at("meaning").replaceChildren(
      `The model is ${share(answer.confidence)} sure. `,
      "Its confidence was calibrated on clips that it was not trained on: of such clips that it is 90 % sure of, about nine in ten are meant to be right. For other microphones, rooms and noises that need not hold.",
    );
  } else {
    at("verdict").replaceChildren("Unknown; most like ", name);
    at("meaning").replaceChildren(
      "The clip does not sound enough like any class that this model knows. The bars say which it would be if it had to be one of them: ",
      className(answer.likeliest), `, with ${share(answer.confidence)}.`,
    );
  }
  const part = model.heard_seconds !== null && answer.seconds > model.heard_seconds;
  at("part").hidden = !part;
  at("part").textContent = part
    ? `This answer is about the first ${model.heard_seconds} s, all that this model hears of a clip. The timeline is about all ${answer.seconds.toFixed(1)} s.`
    : "";
}

function bar([label, prob]) {
  const made = element("li");
  const track = element("span", "", "track");
  const fill = element("span", "", "fill");
  fill.style.width = `${100 * prob}%`;
  track.append(fill);
  made.append(className(label), track, element("span", share(prob), "share"));
  return made;
}

function draw(picture) {
  const canvas = at("spectrogram");
  const { n_mels: height, n_columns: width } = picture;
  const levels = Uint8Array.from(atob(picture.levels), (letter) => letter.charCodeAt(0));
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  levels.forEach((level, n) => {
    const row = height - 1 - Math.floor(n / width); // the lowest band comes first
    image.data.set(colour(level), 4 * (row * width + (n % width)));
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.setAttribute("aria-label",
    `Log-mel spectrogram: time from left to right, ${height} mel bands upwards, down to ${picture.top_db} dB below the loudest cell`);
  at("hertz").replaceChildren(...readable(picture.ticks).map((tick) => {
    const made = element("span", tick.hz < 1000 ? `${tick.hz} Hz` : `${tick.hz / 1000} kHz`);
    made.style.bottom = `${100 * tick.at}%`;
    return made;
  }));
}

/** The ticks that have room, from the top. */
function readable(ticks) {
  let above = 1.05;
  return [...ticks].reverse().filter((tick) => {
    const fits = above - tick.at > 0.1 && tick.at > 0.05;
    if (fits) above = tick.at;
    return fits;
  });
}

function colour(level) {
  const place = (level / 255) * (COLOURS.length - 1);
  const below = Math.min(Math.floor(place), COLOURS.length - 2);
  const mixed = COLOURS[below].map((value, n) => value + (place - below) * (COLOURS[below + 1][n] - value));
  return [...mixed, 255];
}

const span = (stretch) => `${stretch.start.toFixed(1)} to ${stretch.end.toFixed(1)} s`;

/** How sure the model is; of what is unknown to it, it is sure of nothing. */
const sureness = (stretch) => (stretch.hue === undefined ? "" : `, ${share(stretch.confidence)}`);

function block(stretch, seconds, play) {
  const made = element("button");
  made.type = "button";
  made.textContent = stretch.label;
  made.dir = "auto"; // of the button itself: a name that is cut is cut at its end
  made.title = `${stretch.label}, ${span(stretch)}${sureness(stretch)}`;
  made.setAttribute("aria-label", `${made.title}: play from here`);
  if (stretch.hue === undefined) made.className = "unknown";
  else made.style.setProperty("--hue", stretch.hue);
  made.style.left = `${(100 * stretch.start) / seconds}%`;
  made.style.width = `${(100 * (stretch.end - stretch.start)) / seconds}%`;
  made.addEventListener("click", () => play(stretch.start));
  return made;
}

function row(stretch, play) {
  const made = element("li");
  const button = element("button", span(stretch));
  button.type = "button";
  button.addEventListener("click", () => play(stretch.start));
  made.append(button, className(stretch.label), sureness(stretch));
  return made;
}

export function showModel(model) {
  at("model").textContent = `${model.model}: which of its ${model.classes.length} classes does a clip sound like?`;
  at("limits").textContent = `, up to ${model.max_mb} MB and ${model.max_seconds} s`;
  at("classes").replaceChildren(...model.classes.map((label) => {
    const made = element("li");
    made.append(className(label));
    return made;
  }));
  const { trained } = model;
  fill("facts", [
    ["Hears of a clip", model.heard_seconds === null ? "all of it" : `the first ${model.heard_seconds} s`],
    ["Window", `${model.window_seconds} s at ${model.sample_rate} Hz`],
    ["Network", model.network],
    ["Validation accuracy", trained.val_accuracy === undefined ? "not told" : share(trained.val_accuracy)],
    ["Test scores", "not in the model file: metrics/report.md, where it was trained, has them"],
  ]);
  fill("trained", Object.entries(trained).map(([key, value]) => [key, String(value)]));
}

function fill(id, rows) {
  at(id).replaceChildren(...rows.flatMap(([name, said]) => [element("dt", name), element("dd", said)]));
}
