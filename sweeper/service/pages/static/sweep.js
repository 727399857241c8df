// The pages of a sweep and of a trial: charts, the gallery's slider, pictures in full, the log's end.
import { compared, overSteps, ofTrial } from "./charts.js";
import { parallel } from "./parallel.js";
import { pictures } from "./pictures.js";

const KINDS = { steps: overSteps, trial: ofTrial, parallel, compared };

async function draw(place) {
  if (place.dataset.busy) return;
  place.dataset.busy = "yes";
  try {
    const answer = await fetch(place.dataset.source);
    if (answer.ok) KINDS[place.dataset.plot](place, await answer.json());
  } catch (error) {
    // The server is restarting, or the reader has gone on: the next event draws it.
    place.classList.add("stale");
  } finally {
    delete place.dataset.busy;
  }
}

// A chart is drawn when it comes into view, and again when the sweep has gone on.
const inView = new Set();
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) {
        inView.delete(target);
        continue;
      }
      inView.add(target);
      if (!target.childElementCount || target.classList.contains("stale")) draw(target);
      target.classList.remove("stale");
    }
  },
  { rootMargin: "300px" },
);

function watch() {
  for (const place of document.querySelectorAll("[data-plot]")) watcher.observe(place);
}
function again() {
  for (const place of document.querySelectorAll("[data-plot]")) {
    inView.has(place) ? draw(place) : place.classList.add("stale");
  }
}

addEventListener("DOMContentLoaded", watch);
document.addEventListener("htmx:after:swap", watch);
document.addEventListener("sweep-changed", again);
document.addEventListener("theme", again);
addEventListener("resize", () => {
  clearTimeout(again.timer);
  again.timer = setTimeout(again, 200);
});

const log = () => document.querySelector("[data-log]");
let atEnd = true;
document.addEventListener(
  "scroll",
  (event) => {
    if (event.target === log())
      atEnd = event.target.scrollHeight - event.target.scrollTop - event.target.clientHeight < 40;
  },
  true,
);
const toEnd = () => {
  if (log() && atEnd) log().scrollTop = log().scrollHeight;
};
document.addEventListener("htmx:after:swap", toEnd);
addEventListener("DOMContentLoaded", toEnd);

pictures();
watch();
