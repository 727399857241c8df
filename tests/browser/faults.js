() => {
  const found = [];
  const named = (one) => one.getAttribute("aria-label") || one.getAttribute("title") ||
    one.getAttribute("alt") || [...(one.labels ?? [])].map((label) => label.textContent).join("") ||
    one.textContent.trim() || one.querySelector("img[alt]")?.alt;
  for (const one of document.querySelectorAll("a, button, input, select, textarea, img")) {
    if (one.type !== "hidden" && !named(one)) found.push("no name: " + one.outerHTML.slice(0, 120));
  }
  const levels = [...document.querySelectorAll("main h1, main h2, main h3")].map((one) => +one.tagName[1]);
  if (levels[0] !== 1 || levels.filter((level) => level === 1).length !== 1) found.push("h1: " + levels);
  levels.forEach((level, at) => { if (at && level > levels[at - 1] + 1) found.push("skips: " + levels); });
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  const twice = ids.filter((id, at) => ids.indexOf(id) !== at);
  if (twice.length) found.push("ids twice: " + twice);
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push("wider than the screen: " + root.scrollWidth);

  const parts = (text) => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const paint = parts(getComputedStyle(one).backgroundColor);
      if (paint.length < 4 || paint[3] > 0.9) return paint;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const one = node.parentElement;
    if (!node.textContent.trim() || !one.checkVisibility() || one.closest("svg, .skip, .hidden-text, option, script")) continue;
    const [a, b] = [light(parts(getComputedStyle(one).color)), light(behind(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(1)}: ${node.textContent.trim().slice(0, 40)}`);
  }
  return found;
}
