// The editor of sweep files: line numbers, problems beside their lines, and what may stand where the
// caret is, from the file's own JSON schema.
import { keepDraft, keptDraft } from "./draft.js";
import { completions, meaning } from "./schema.js";

const box = document.querySelector("[data-editor]");
const area = box.querySelector("textarea"),
  lines = box.querySelector(".lines");
const checked = document.getElementById("checked"),
  told = document.getElementById("meaning");
let schema = null,
  offers = null;
fetch(box.dataset.schema)
  .then((answer) => (answer.ok ? answer.json() : null))
  .then((found) => {
    schema = found;
    inspect();
  });

function number() {
  const wrong = new Set(
    [...checked.querySelectorAll("[data-line]")].map((one) => Number(one.dataset.line)),
  );
  const count = area.value.split("\n").length;
  lines.replaceChildren(
    ...Array.from({ length: count }, (_, index) => {
      const line = document.createElement("span");
      line.textContent = `${index + 1}\n`;
      if (wrong.has(index + 1)) line.className = "wrong";
      return line;
    }),
  );
  lines.scrollTop = area.scrollTop;
}

const before = () => area.value.slice(0, area.selectionStart);
function inspect() {
  if (schema) told.textContent = meaning(schema, before(), area.value.slice(area.selectionStart));
}

function offer(asked) {
  close();
  if (!schema || area.selectionStart !== area.selectionEnd) return;
  const found = completions(schema, before());
  if (!found.options.length || (!asked && !found.typed)) return;
  const { top, left } = place(before());
  offers = document.createElement("ul");
  offers.className = "offers";
  offers.id = "offers";
  offers.setAttribute("role", "listbox");
  offers.style.top = `${top}px`;
  offers.style.left = `${left}px`;
  found.options.slice(0, 60).forEach((option, index) => {
    const item = document.createElement("li"),
      note = document.createElement("small");
    item.setAttribute("role", "option");
    item.id = `offer-${index}`;
    item.dataset.insert = option.insert;
    note.textContent = option.note ? " " + option.note : "";
    item.append(option.name, note);
    item.addEventListener("mousedown", (event) => {
      event.preventDefault();
      choose(item, found.typed);
    });
    offers.append(item);
  });
  offers.typed = found.typed;
  box.append(offers);
  select(0);
}

function select(index) {
  const items = [...offers.children],
    next = items[(index + items.length) % items.length];
  for (const item of items) item.setAttribute("aria-selected", item === next);
  next.scrollIntoView({ block: "nearest" });
  area.setAttribute("aria-activedescendant", next.id);
  area.setAttribute("aria-controls", "offers");
}
const selected = () =>
  [...offers.children].findIndex((item) => item.getAttribute("aria-selected") === "true");

function choose(item, typed) {
  area.setRangeText(
    item.dataset.insert,
    area.selectionStart - typed.length,
    area.selectionStart,
    "end",
  );
  close();
  area.dispatchEvent(new Event("input", { bubbles: true }));
}
function close() {
  offers?.remove();
  offers = null;
  area.removeAttribute("aria-activedescendant");
  area.removeAttribute("aria-controls");
}

// Where the caret is: the editor's face has one width for all characters.
function place(text) {
  const rows = text.split("\n"),
    style = getComputedStyle(area);
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = style.font;
  const width = pen.measureText("0").width,
    height = parseFloat(style.lineHeight);
  return {
    top: parseFloat(style.paddingTop) + rows.length * height - area.scrollTop,
    left: Math.min(
      area.offsetLeft + parseFloat(style.paddingLeft) + rows.at(-1).length * width,
      box.clientWidth - 260,
    ),
  };
}

area.addEventListener("input", (event) => {
  number();
  inspect();
  event.inputType === "insertText" ? offer(false) : close();
});
area.addEventListener("scroll", () => {
  lines.scrollTop = area.scrollTop;
  close();
});
area.addEventListener("blur", close);
for (const kind of ["keyup", "click"]) area.addEventListener(kind, inspect);
area.addEventListener("keydown", (event) => {
  if (event.key === " " && event.ctrlKey) {
    event.preventDefault();
    return offer(true);
  }
  if (event.key === "Enter" && !offers) {
    const indent = before().split("\n").at(-1).match(/^ */)[0];
    if (!indent) return;
    event.preventDefault();
    area.setRangeText("\n" + indent, area.selectionStart, area.selectionEnd, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }
  if (!offers) return;
  if (event.key === "ArrowDown") select(selected() + 1);
  else if (event.key === "ArrowUp") select(selected() - 1);
  else if (event.key === "Enter") choose(offers.children[selected()], offers.typed);
  else if (event.key === "Escape") close();
  else return;
  event.preventDefault();
});
checked.addEventListener("click", (event) => {
  const line = event.target.closest("[data-line]")?.dataset.line;
  if (!line) return;
  const rows = area.value.split("\n"),
    at = rows.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  area.focus();
  area.setSelectionRange(at, at + rows[line - 1].length);
  area.scrollTop = (line - 6) * parseFloat(getComputedStyle(area).lineHeight);
});
document.addEventListener("htmx:after:swap", number);
document.querySelector("[data-load]").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  if (!file) return;
  area.value = await file.text();
  area.dispatchEvent(new Event("input", { bubbles: true }));
});
number();

area.addEventListener("input", () => keepDraft(area.value));
area.form.addEventListener("submit", () => keepDraft(area.value));
const draft = keptDraft();
if (draft !== null) {
  area.value = draft;
  area.dispatchEvent(new Event("input", { bubbles: true }));
}
