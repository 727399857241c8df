// The pages of a sweep and of a trial: charts, the gallery's slider, pictures in full, the log's end.
import { compared, overSteps, ofTrial } from "./charts.js";
import { inView } from "./in_view.js";
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
const near = inView("300px", (place) => {
  if (!place.childElementCount || place.classList.contains("stale")) draw(place);
  place.classList.remove("stale");
});

function watch() {
  for (const place of document.querySelectorAll("[data-plot]")) near.watch(place);
}
function again() {
  for (const place of document.querySelectorAll("[data-plot]")) {
    near.has(place) ? draw(place) : place.classList.add("stale");
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
