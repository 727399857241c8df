// The gallery's slider, and any picture in full above the page.
export function pictures() {
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-steps]")) slide(event.target);
  });
  // A gallery that was brought up to date shows the step that was chosen.
  document.addEventListener("htmx:after:swap", () => {
    for (const slider of document.querySelectorAll("[data-steps]")) {
      if (slider.value !== slider.max) slide(slider);
    }
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".gallery a, .film a");
    const image = link?.querySelector("img");
    if (!image || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(link.href, image.alt);
  });
}

function slide(slider) {
  const step = Number(slider.dataset.steps.split(",")[slider.value]);
  slider.nextElementSibling.textContent = step.toLocaleString("en");
  const figures = slider.closest("[data-gallery]").querySelectorAll("[data-frames]");
  for (const figure of figures) frame(figure, step);
}

// A trial that was not measured at a step shows its last picture before it, or its first.
function frame(figure, step) {
  const steps = figure.dataset.frames.split(",").map(Number),
    values = figure.dataset.values.split("|");
  const index = Math.max(
    0,
    steps.findLastIndex((own) => own <= step),
  );
  const address = figure.dataset.base + steps[index];
  figure.querySelector("img").src = address;
  figure.querySelector("img").alt = figure
    .querySelector("img")
    .alt.replace(/step \d+/, `step ${steps[index]}`);
  figure.querySelector("a").href = address;
  figure.querySelector("[data-value]").textContent = values[index];
  figure.querySelector("[data-step]").textContent = steps[index].toLocaleString("en");
}

function open(address, words) {
  const dialog = document.createElement("dialog"),
    image = document.createElement("img");
  const caption = document.createElement("p"),
    close = document.createElement("button");
  dialog.className = "viewer";
  dialog.setAttribute("aria-label", words);
  image.src = address;
  image.alt = words;
  caption.textContent = words;
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  dialog.append(image, caption, close);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
}
