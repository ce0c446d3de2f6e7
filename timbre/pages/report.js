"use strict";
(() => {
  const LOOKED = ["off", "answer", "label"];
  const KEPT = 12; // players that stay loaded: browsers allow a page only so many
  const cards = [...document.querySelectorAll("article.clip")];
  const cells = [...document.querySelectorAll(".matrix button")];
  const radios = [...document.querySelectorAll("input[name=looked]")];
  const search = document.getElementById("search");
  const keys = document.getElementById("keys");
  const told = document.getElementById("told");
  let cell = null; // of the matrix, the one that is chosen
  let played = [];

  const shown = () => cards.filter((card) => !card.hidden);
  const current = () => document.activeElement?.closest?.("article.clip") ?? null;

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const card of cards) {
      const text = card.dataset.text.toLowerCase();
      const { actual, predicted } = cell?.dataset ?? card.dataset;
      const fits = card.dataset.actual === actual && card.dataset.predicted === predicted;
      card.hidden = !(fits && words.every((word) => text.includes(word)));
      if (card.hidden) card.querySelectorAll("audio").forEach((audio) => audio.pause());
    }
    for (const other of cells) other.setAttribute("aria-pressed", String(other === cell));
    const n = shown().length;
    const of = n === cards.length ? "" : ` of ${cards.length}`;
    told.textContent = `${n}${of} clips` + (cell ? `: ${cell.title}` : "");
  }

  function choose(button) {
    cell = cell === button ? null : button;
    filter();
    if (cell) told.scrollIntoView({ block: "center" });
  }

  function step(by) {
    const all = shown();
    if (!all.length) return;
    const at = all.indexOf(current());
    const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
    all[next].focus({ preventScroll: true });
    all[next].scrollIntoView({ block: "start" });
  }

  function toggle(audio) {
    if (!audio) return;
    if (audio.paused) audio.play().catch(() => {});
    else audio.pause();
  }

  function look(value) {
    document.body.dataset.looked = value;
    for (const radio of radios) radio.checked = radio.value === value;
  }

  function escape() {
    cell = null;
    search.value = "";
    filter();
    if (document.activeElement === search) search.blur();
  }

  const commands = {
    j: () => step(1),
    k: () => step(-1),
    g: () => look(LOOKED[(LOOKED.indexOf(document.body.dataset.looked) + 1) % LOOKED.length]),
    "/": () => search.focus(),
    " ": () => toggle((current() ?? shown()[0])?.querySelector(".heard audio")),
  };
  for (let n = 1; n <= 9; n += 1) {
    commands[n] = () => toggle(current()?.querySelectorAll(".near audio")[n - 1]);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return escape();
    const own = event.target.closest("input:not([type=radio]):not([type=checkbox]), audio, textarea");
    const presses = event.target.closest("button, summary, a, input");
    if (!keys.checked || own || (event.key === " " && presses)) return;
    const command = commands[event.key];
    if (!command) return;
    event.preventDefault();
    command();
  });

  document.addEventListener("play", (event) => {
    for (const audio of played) if (audio !== event.target) audio.pause();
    played = [event.target, ...played.filter((audio) => audio !== event.target)];
    for (const audio of played.splice(KEPT)) audio.load(); // not preloaded: this lets go of it
    follow(event.target);
  }, true);

  function follow(audio) {
    const picture = audio.closest(".heard")?.querySelector(".picture");
    if (!picture) return;
    const head = picture.querySelector(".head");
    const draw = () => {
      head.hidden = false;
      head.style.left = `${(100 * audio.currentTime) / picture.dataset.seconds}%`;
      if (!audio.paused && !audio.ended) requestAnimationFrame(draw);
    };
    draw();
  }

  for (const picture of document.querySelectorAll(".picture")) {
    picture.addEventListener("click", (event) => {
      const audio = picture.closest(".heard").querySelector("audio");
      if (!audio) return;
      const box = picture.getBoundingClientRect();
      const seconds = ((event.clientX - box.left) / box.width) * picture.dataset.seconds;
      const seek = () => {
        audio.currentTime = Math.min(seconds, audio.duration || seconds);
        follow(audio);
      };
      if (audio.readyState) seek();
      else audio.addEventListener("loadedmetadata", seek, { once: true });
      audio.play().catch(() => {});
    });
  }

  function paint(theme) {
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem("timbre-theme", theme); } catch { /* a file may not remember */ }
  }
  try {
    const theme = localStorage.getItem("timbre-theme");
    if (theme) document.documentElement.dataset.theme = theme;
  } catch { /* the same */ }
  document.getElementById("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme
      ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    paint(now === "dark" ? "light" : "dark");
  });

  for (const button of cells) button.addEventListener("click", () => choose(button));
  for (const radio of radios) radio.addEventListener("change", () => look(radio.value));
  search.addEventListener("input", filter);
  look(document.body.dataset.looked);
  filter();
})();
