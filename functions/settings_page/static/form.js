// The settings form as plain values: reading, writing, errors beside their fields.

import { byId, day, element, say } from "./dom.js";
import { combobox } from "./combobox.js";

/** Every setting of a form by its key, each with `value`, `problem` and `label`. */
export function settingsOf(form, lists) {
  const settings = {};
  for (const input of form.querySelectorAll("[data-setting]")) {
    const name = input.dataset.setting;
    if (input.type === "radio") settings[name] ||= new Radios(form, name);
    else settings[name] = new Plain(input);
    if (input.dataset.list) combobox(input, lists);
  }
  for (const editor of form.querySelectorAll("[data-rows]")) {
    settings[editor.dataset.rows] = new Rows(editor, lists);
  }
  return settings;
}

const labelOf = (name) => {
  const field = document.querySelector(`[data-field="${CSS.escape(name)}"]`);
  return field ? field.querySelector("label, legend").textContent.trim() : name;
};

const valueOf = (cell) => (cell.type === "checkbox" ? cell.checked : cell.value.trim() || cell.dataset.usual || "");

class Plain {
  constructor(input) {
    this.input = input;
    this.name = input.dataset.setting;
  }

  get label() {
    return labelOf(this.name);
  }

  get value() {
    if (this.input.type === "checkbox") return this.input.checked;
    const text = this.input.value.trim();
    if (this.input.type === "date") return text || null;
    if (this.input.type === "number" && text) return Number(text);
    return text;
  }

  set value(value) {
    if (this.input.type === "checkbox") this.input.checked = Boolean(value);
    else this.input.value = value ?? "";
  }

  words(value) {
    if (this.input.type === "checkbox") return value ? "on" : "off";
    const choice = this.input.options && [...this.input.options].find((option) => option.value === value);
    return choice ? choice.textContent : String(value ?? "") || "empty";
  }
}

class Radios {
  constructor(form, name) {
    this.form = form;
    this.name = name;
  }

  get label() {
    return labelOf(this.name);
  }

  get value() {
    return this.form.elements[this.name].value;
  }

  set value(value) {
    this.form.elements[this.name].value = value;
  }

  words(value) {
    return value ? value.charAt(0).toUpperCase() + value.slice(1) : "empty";
  }
}

/** Rows of cells: a map (key and value) or a list of objects. A cell left empty has its usual value. */
class Rows {
  constructor(editor, lists) {
    this.editor = editor;
    this.lists = lists;
    this.name = editor.dataset.rows;
    this.isMap = editor.dataset.kind === "map";
    this.most = Number(editor.dataset.most);
    this.list = editor.querySelector(".row-list");
    this.add = editor.querySelector("[data-add]");
    if (this.isMap) editor.addEventListener("input", () => this.checkKeys());
    this.add.addEventListener("click", () => {
      this.addRow().querySelector("input").focus();
      this.changed();
    });
  }

  get label() {
    return labelOf(this.name);
  }

  get cells() {
    return [...this.list.children]
      .map((row) => [...row.querySelectorAll("[data-column]")])
      .filter((inputs) => inputs.some((input) => (input.type === "checkbox" ? input.checked : input.value.trim())))
      .map((inputs) => Object.fromEntries(inputs.map((input) => [input.dataset.column, valueOf(input)])));
  }

  get value() {
    return this.isMap ? Object.fromEntries(this.cells.map(({ key, value }) => [key, value])) : this.cells;
  }

  set value(value) {
    const rows = this.isMap ? Object.entries(value || {}).map(([key, one]) => ({ key, value: one })) : value || [];
    this.list.replaceChildren();
    rows.forEach((row) => this.addRow(row));
    this.changed(false);
  }

  /** Two rows with the same key can't both be saved, so they must not be sent. */
  checkKeys() {
    const inputs = [...this.list.querySelectorAll("[data-column=key]")];
    const keys = inputs.map((input) => input.value.trim());
    inputs.forEach((input, index) =>
      input.setCustomValidity(keys[index] && keys.indexOf(keys[index]) < index ? `“${keys[index]}” is there twice. Remove one of the two.` : ""),
    );
  }

  words(value) {
    const rows = this.isMap
      ? Object.entries(value || {}).map(([key, one]) => `${key} → ${one}`)
      : (value || []).map((one) => Object.values(one).map((cell) => (cell === true ? "yes" : cell)).filter(Boolean).join(": "));
    return rows.join(", ") || "empty";
  }

  addRow(cells = {}) {
    const row = this.editor.querySelector("template").content.cloneNode(true).querySelector("li");
    this.list.append(row);
    this.made = (this.made || 0) + 1;
    for (const input of row.querySelectorAll("[data-column]")) {
      input.id = `${this.name}-${this.made}-${input.dataset.column}`;
      input.closest(".cell").querySelector("label").htmlFor = input.id;
      input.setAttribute("aria-describedby", `${this.name}-error`);
      const value = cells[input.dataset.column];
      if (input.type === "checkbox") input.checked = Boolean(value);
      else input.value = value === input.dataset.usual ? "" : value ?? "";
      if (input.dataset.list) combobox(input, this.lists);
    }
    row.querySelector("[data-remove]").addEventListener("click", () => {
      const next = row.nextElementSibling || row.previousElementSibling;
      row.remove();
      this.changed();
      (next?.querySelector("[data-remove]") || this.add).focus();
    });
    return row;
  }

  changed(tell = true) {
    [...this.list.children].forEach((row, index) => {
      row.querySelector("[data-remove]").setAttribute("aria-label", `Remove row ${index + 1} of ${this.label}`);
    });
    this.add.hidden = this.list.children.length >= this.most;
    if (tell) this.editor.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

const inputsOf = (field) =>
  field.querySelectorAll("[data-setting], [data-column], input:not([readonly]):not([data-column])");

/** Fields that break a rule of their own: a pattern, a number's bounds, what their script says. */
export const invalidIn = (form) =>
  [...form.elements]
    .filter((one) => one.willValidate && !one.validity.valid)
    .map((one) => ({ name: one.closest("[data-field]").dataset.field, message: one.validity.patternMismatch ? one.title : one.validationMessage }));

/** Shows beside each field why it was refused, and clears the others. Returns the first refused field's name. */
export function showErrors(form, errors) {
  const words = new Map();
  for (const { name, message } of errors) {
    const [field, ...part] = name.split(".");
    const where = /^\d+$/.test(part[0]) ? `row ${Number(part[0]) + 1}` : part.join(" ");
    const text = part.length ? `${where}: ${message}` : message;
    words.set(field, words.has(field) ? `${words.get(field)} · ${text}` : text);
  }
  let first = "";
  for (const field of form.querySelectorAll("[data-field]")) {
    const name = field.dataset.field;
    const place = byId(`${name}-error`);
    if (!place) continue;
    say(place, words.get(name));
    for (const input of inputsOf(field)) {
      if (words.has(name)) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
    if (words.has(name)) first ||= name;
  }
  return first;
}

/** Takes the error away from a field that a person corrects. True if no field is left with one. */
export function corrected(form, input) {
  const field = input.closest("[data-field]");
  const place = field && byId(`${field.dataset.field}-error`);
  if (!place || place.hidden) return false;
  say(place, "");
  for (const one of inputsOf(field)) one.removeAttribute("aria-invalid");
  return !form.querySelector("[aria-invalid]");
}

/** Errors whose field is not on this page. They are shown beside Save. */
export const withoutField = (errors) =>
  errors.filter(({ name }) => !byId(`${name.split(".")[0]}-error`)).map(({ name, message }) => `${name}: ${message}`);

/** Opens the section that hides a field, and focuses the field. */
export function reveal(id) {
  const target = byId(id);
  if (!target) return;
  for (let parent = target.closest("details"); parent; parent = parent.parentElement.closest("details")) parent.open = true;
  const radio = target.closest("fieldset")?.querySelector("input[type=radio]:checked");
  const focused = target.tagName === "LEGEND" ? radio || target : target;
  focused.focus();
  focused.scrollIntoView({ block: "center" });
}

/** Whether there is a setting of that name on the page. */
export const isSetting = (name) => Boolean(document.querySelector(`[data-field="${CSS.escape(name)}"]`));

/** An address that leads to a setting from anywhere on the page. */
export const settingLink = (name, words) =>
  element("a", { href: `#settings/${name}`, onclick: ({ currentTarget }) => location.hash === currentTarget.hash && reveal(name) }, words);

const CONNECTING = new Set(["Get Access Token", "Reconnect"]);

/** Words of the server: what they call by the name of a setting leads there, and dates are as this person writes them. */
export function withLinks(words) {
  const settings = new Map([...document.querySelectorAll("[data-field]")].map((field) => [field.querySelector("label, legend").textContent.trim(), field.dataset.field]));
  return words.split(/(?<=“)([^”]+)(?=”)|\b(\d{4}-\d\d-\d\d)\b/).map((part, place) => {
    if (place % 3 === 2) return part && day(part);
    const setting = place % 3 === 1 && (CONNECTING.has(part) ? "connection-heading" : settings.get(part));
    return setting ? settingLink(setting, part) : part;
  });
}

/** A button that leads to a field. */
export const leadTo = (id, words) => element("button", { type: "button", class: "link", onclick: () => reveal(id) }, words);
