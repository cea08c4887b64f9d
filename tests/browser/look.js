// What is wrong with the page as it stands: cut off, doubled, too small or too faint, which axe-core leaves out.
() => {
  const shown = (one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const describe = (one) => `${one.tagName.toLowerCase()}#${one.id}.${one.className} “${(one.textContent || "").trim().slice(0, 40)}”`;
  const found = [];

  const wide = document.documentElement;
  if (wide.scrollWidth > wide.clientWidth) found.push(`the page is ${wide.scrollWidth} wide in ${wide.clientWidth}`);
  for (const one of document.querySelectorAll("body *")) {
    const box = one.getBoundingClientRect();
    if (shown(one) && box.width && box.right > wide.clientWidth + 1 && !one.closest(".hidden-words")) found.push(`sticks out: ${describe(one)}`);
  }

  for (const one of document.querySelectorAll(".scroll")) {
    if (one.scrollWidth > one.clientWidth) found.push(`scrolls sideways: ${describe(one)}`);
  }

  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) found.push(`two elements have the id ${id}`);
  for (const one of document.querySelectorAll("input, select, button")) {
    if (!shown(one) || one.closest("[aria-hidden=true]")) continue;
    const box = one.getBoundingClientRect();
    if (one.matches("button:not(.link), select, input:not([type=radio], [type=checkbox])") && box.height < 44) found.push(`only ${box.height} high: ${describe(one)}`);
  }
  if (document.querySelectorAll("h1").length !== 1) found.push("a page has one h1");

  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], [r2, g2, b2]) => [r * a + r2 * (1 - a), g * a + g2 * (1 - a), b * a + b2 * (1 - a), 1];
  const ground = (one) => {
    const layers = [];
    for (let at = one; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    const canvas = matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0, 1] : [255, 255, 255, 1];
    return layers.reverse().reduce((below, layer) => over(layer, below), canvas);
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const worded = [...document.querySelectorAll("input:not([type=radio], [type=checkbox]), select, textarea")].filter((one) => one.value);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) if (node.textContent.trim()) worded.push(node.parentElement);
  for (const one of worded) {
    if (!shown(one) || one.closest("noscript, template, option, .hidden-words, :disabled, [aria-disabled=true]")) continue;
    const behind = ground(one);
    const [a, b] = [light(over(parse(getComputedStyle(one).color), behind)), light(behind)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(2)}: ${describe(one)}`);
  }
  return [...new Set(found)];
}
