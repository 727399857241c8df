// What every page has: the mode, the keys, questions before dangerous buttons, copying, and live
// pieces, which htmx fetches again when something has happened.
import "./draft.js";
import { follow } from "./live.js";
import { keys } from "./keys.js";

export function say(words) {
  const place = document.getElementById("said");
  place.textContent = words;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => {
    place.textContent = "";
  }, 4000);
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  document.dispatchEvent(new Event("theme"));
}

async function copy(button) {
  const answer = await fetch(button.dataset.copy);
  const text = await answer.text();
  if (!answer.ok) return say("It could not be copied: " + answer.status);
  await navigator.clipboard.writeText(text);
  say("Copied.");
}

document.getElementById("theme").addEventListener("click", switchTheme);
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
  if (event.target.getAttribute("action") === "/logout") sessionStorage.clear();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button).catch((error) => say("It could not be copied: " + error.message));
});
document.addEventListener("htmx:config:request", (event) => {
  const token = document.querySelector('meta[name="csrf"]').content;
  if (token) event.detail.ctx.request.headers["X-CSRF-Token"] = token;
});
// The session has ended: the way in, and back to here.
document.addEventListener("htmx:before:response", (event) => {
  const { raw } = event.detail.ctx.response;
  if (!raw.redirected || new URL(raw.url).pathname !== "/login") return;
  event.preventDefault();
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
});
const DELETED = ["/problems/unknown-sweep", "/problems/unknown-trial"];
// What a page is of has been deleted: that is said once, and what was read stays to be read.
document.addEventListener("htmx:before:response", (event) => {
  const { sourceElement, response } = event.detail.ctx;
  const problem = response.raw.headers.get("x-problem");
  if (!DELETED.includes(problem) || !sourceElement.matches(".live")) return;
  event.preventDefault();
  if (document.getElementById("gone")) return;
  const notice = document.createElement("div");
  notice.id = "gone";
  notice.className = "notice";
  notice.setAttribute("role", "alert");
  notice.textContent = "This has been deleted. What you see is what was there last.";
  const heading = document.querySelector("main .heading");
  heading.after(notice);
  heading.querySelector(".actions")?.remove();
  for (const piece of document.querySelectorAll("[data-live]")) delete piece.dataset.live;
});
// The address says what a list is filtered by: who comes back to it finds the same rows.
document.addEventListener("htmx:before:request", (event) => {
  const form = event.detail.ctx.sourceElement;
  if (!form.matches("form.filter")) return;
  history.replaceState(null, "", `?${new URLSearchParams(new FormData(form))}`);
});
// A table that a piece brings along is sorted as any other, and as it was before.
document.addEventListener("htmx:after:swap", () => {
  for (const table of document.querySelectorAll("table.sortable")) {
    sorting.prepare(table);
    const head = table.querySelector("th[aria-sort]");
    if (head) sorting.sort(table, head.cellIndex, head.getAttribute("aria-sort") === "descending");
  }
});

keys({ switchTheme });
follow();
