// A text field with a list to choose from, by the ARIA pattern “editable combobox with list autocomplete”.
// A person may also type a value that is not in the list.

import { element, nothingHeld, replace } from "./dom.js";

const TYPING_PAUSE = 250;
const MOST_SHOWN = 100;
let made = 0;

export function combobox(input, lists) {
  const list = input.dataset.list;
  const id = `choices-${++made}`;
  const box = element("ul", { role: "listbox", id, "aria-label": "Choices" });
  const note = element("p", { class: "note" });
  const popup = element("div", { class: "popup", hidden: true }, box, note);
  const toggle = element("button", { type: "button", class: "toggle", tabindex: "-1", "aria-hidden": "true" });
  const status = element("span", { class: "hidden-words", role: "status" });
  input.after(toggle, popup, status);
  const roles = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": id };
  for (const [name, value] of Object.entries(roles)) input.setAttribute(name, value);

  let shown = [];
  let active = -1;
  let asked = 0;
  let timer = 0;

  const isOpen = () => !popup.hidden;

  function close() {
    clearTimeout(timer);
    asked++;
    popup.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    active = -1;
    status.textContent = "";
  }

  async function open(filter) {
    const turn = ++asked;
    popup.hidden = false;
    input.setAttribute("aria-expanded", "true");
    if (!lists.connected) {
      show([], "The list appears here once you are connected to Xero. You can type until then.");
      return;
    }
    if (!shown.length) show([], "Reading the list from Xero …");
    try {
      const choices = await lists.choices(list, filter ? input.value : "");
      if (turn === asked) offer(choices, filter ? input.value : "");
    } catch (refused) {
      if (turn === asked) show([], `The list can’t be read right now. ${refused.message}`);
    }
  }

  function offer(choices, text) {
    const wanted = text.trim().toLowerCase();
    const fitting = choices.filter(
      ({ value, label }) => value.toLowerCase().includes(wanted) || label.toLowerCase().includes(wanted),
    );
    const more = fitting.length > MOST_SHOWN ? `${fitting.length - MOST_SHOWN} more: type to narrow the list.` : "";
    show(fitting.slice(0, MOST_SHOWN), fitting.length ? more : "Nothing in Xero fits what you typed.");
  }

  function show(choices, words) {
    shown = choices;
    active = -1;
    input.removeAttribute("aria-activedescendant");
    replace(
      box,
      choices.map((choice, index) => {
        const option = element(
          "li",
          { role: "option", id: `${id}-${index}`, "aria-selected": choice.value === input.value ? "true" : "false" },
          element("b", {}, choice.title || choice.value),
          choice.label && !choice.title ? element("span", {}, choice.label) : "",
          choice.detail ? element("small", {}, choice.detail) : "",
        );
        option.addEventListener("pointerdown", (event) => event.preventDefault());
        option.addEventListener("click", () => choose(choice));
        return option;
      }),
    );
    box.hidden = !choices.length;
    note.textContent = words;
    note.hidden = !words;
    status.textContent = choices.length ? `${choices.length} choices` : words;
  }

  function choose(choice) {
    input.value = choice.value;
    close();
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
    close();
  }

  function move(step) {
    if (!shown.length) return;
    active = (active + step + shown.length) % shown.length;
    [...box.children].forEach((option, index) => option.classList.toggle("active", index === active));
    input.setAttribute("aria-activedescendant", `${id}-${active}`);
    box.children[active].scrollIntoView({ block: "nearest" });
  }

  input.addEventListener("input", (event) => {
    if (!event.isTrusted) return;
    clearTimeout(timer);
    timer = setTimeout(() => open(true), TYPING_PAUSE);
  });
  input.addEventListener("keydown", async (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen()) await open(false);
      move(event.key === "ArrowDown" ? 1 : active < 0 ? 0 : -1);
    } else if (event.key === "Enter" && isOpen()) {
      event.preventDefault();
      if (active >= 0) choose(shown[active]);
      else close();
    } else if (event.key === "Escape" && isOpen()) {
      event.preventDefault();
      event.stopPropagation();
      close();
    } else if (event.key === "Tab") {
      close();
    }
  });
  input.addEventListener("click", () => !isOpen() && open(false));
  input.addEventListener("blur", async () => {
    clearTimeout(timer);
    await nothingHeld();
    if (document.activeElement !== input) close();
    settle();
  });
  toggle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    input.focus();
    if (isOpen()) close();
    else open(false);
  });

  /** If a name was typed instead of a code, replaces it by the code. */
  async function settle() {
    const typed = input.value.trim().toLowerCase();
    if (!typed || !lists.connected || list === "contacts") return;
    const choices = await lists.choices(list).catch(() => []);
    const known = choices.some(({ value }) => value.toLowerCase() === typed);
    const named = choices.filter(({ label }) => label.toLowerCase() === typed);
    if (!known && named.length === 1 && input.value.trim().toLowerCase() === typed) choose(named[0]);
  }
}
