// Elements, and moments and amounts in this browser's language.

export const byId = (id) => document.getElementById(id);

/** An element. Text children are text, never markup. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export function replace(parent, ...children) {
  parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
}

/** Shows `words` in an element, which is hidden if there are none. */
export function say(place, words) {
  place.textContent = words || "";
  if (place.matches(".hint, .error")) place.hidden = !words;
}

const dayAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const timeOnly = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

/** A moment in the person's own format and time zone; for today only the time. */
export function momentWords(iso) {
  const moment = new Date(iso);
  if (Number.isNaN(moment.getTime())) return String(iso);
  const today = moment.toDateString() === new Date().toDateString();
  return today ? `today, ${timeOnly.format(moment)}` : dayAndTime.format(moment);
}

export function moment(iso) {
  return iso ? element("time", { datetime: iso, title: dayAndTime.format(new Date(iso)) }, momentWords(iso)) : null;
}

const dayOnly = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });

/** A date without a time, such as 2026-11-20, in the person's own format. */
export function day(iso) {
  const date = new Date(`${iso}T00:00:00Z`);
  return Number.isNaN(date.getTime()) ? "" : dayOnly.format(date);
}

/** Decimal text with its currency. The text is never turned into a float, so no digit is lost. */
export function amount(text, currency) {
  if (text === null || text === undefined || text === "") return "–";
  const plain = String(text);
  const style = /^[A-Z]{3}$/.test(currency || "") ? { style: "currency", currency, currencyDisplay: "code" } : { minimumFractionDigits: 2 };
  // as many as are usual in the currency, and all that the amount has; noughts do not count where none are usual, as in yen
  const usual = new Intl.NumberFormat(undefined, style).resolvedOptions().minimumFractionDigits;
  const [, fraction = ""] = plain.split(".");
  const own = (usual ? fraction : fraction.replace(/0+$/, "")).length;
  const decimals = Math.min(Math.max(own, usual), 6);
  return new Intl.NumberFormat(undefined, { ...style, minimumFractionDigits: decimals, maximumFractionDigits: decimals }).format(plain);
}

export const upperFirst = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** An address that is safe to open, never a script. */
export function webAddress(address) {
  try {
    const url = new URL(address, location.href);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

export const same = (one, other) => canonical(one) === canonical(other);

function canonical(value) {
  return JSON.stringify(value, (key, inner) =>
    inner && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** Asks by a dialog: true if its button of the value “yes” closed it. */
export function agreed(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true }));
}

let held = false;
const waiting = [];

// A press ends with the click, which follows when the button is let go.
function letGo() {
  held = false;
  setTimeout(() => held || waiting.splice(0).forEach((goOn) => goOn()));
}

for (const kind of ["pointerdown", "mousedown"]) {
  // not a select: its list may take the end of the press away
  window.addEventListener(kind, (event) => (held = !event.button && Boolean(event.target.closest?.("button, a, label, summary"))), true);
}
for (const kind of ["pointerup", "pointercancel", "click", "blur"]) window.addEventListener(kind, letGo);

/** Returns once nothing is being pressed. What moves the page waits for it, so that no button moves from under a press. */
export const nothingHeld = () => (held ? new Promise((goOn) => waiting.push(goOn)) : undefined);

/** A button that can't be pressed again while its work runs. It keeps the focus. */
export function whilePressed(button, work) {
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      await work();
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
  return button;
}
