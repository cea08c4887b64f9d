// The tab Settings: the saved values, the typed values, and how the two are merged.

import { agreed, byId, element, moment, momentWords, nothingHeld, replace, same, say, whilePressed } from "./dom.js";
import { corrected, invalidIn, leadTo, reveal, settingsOf, showErrors, withoutField } from "./form.js";
import { historyItems } from "./history.js";
import { MailAddresses } from "./mail_addresses.js";

const DRAFT_KEPT_FOR = 24 * 3600_000;

export class SettingsTab {
  constructor(api, lists, { company, user }) {
    this.api = api;
    this.lists = lists;
    this.draftKey = `accounting-draft ${company} ${user}`;
    this.form = byId("settings-form");
    this.settings = settingsOf(this.form, lists);
    this.mailAddresses = new MailAddresses(api);
    byId("time-zones").append(...(Intl.supportedValuesOf?.("timeZone") ?? []).map((value) => element("option", { value })));
    this.clientId = byId("client_id");
    this.clientSecret = byId("client_secret");
    this.loaded = null;
    this.connection = null;
    this.changeShown = false;
    this.notes = [];
    this.remarked = {};
    this.unknown = {};
    this.leaving = false;
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", (event) => {
      if (corrected(this.form, event.target)) say(byId("save-error"), "");
      this.showChanged();
    });
    this.form.addEventListener("change", (event) => this.showName(event.target));
    whilePressed(byId("save"), () => this.save());
    whilePressed(byId("copy-redirect"), copyRedirect);
    window.addEventListener("beforeunload", (event) => {
      if (this.changed && !this.leaving) event.preventDefault();
    });
    api.addEventListener("session-over", () => this.keepDraft());
  }

  async load() {
    try {
      this.take(await this.api.get("settings"), "all");
      this.restoreDraft();
    } catch (refused) {
      const again = whilePressed(element("button", { type: "button", class: "quiet" }, "Try again"), () => this.load());
      replace(byId("todo"), element("p", { class: "notice bad" }, refused.message), again);
    }
  }

  /** Compares the form with `saved` from now on. Fields keep what a person has typed since. */
  take(saved, keep = "typed", sent = {}) {
    const before = this.loaded?.settings;
    for (const [name, setting] of Object.entries(this.settings)) {
      const untouched = keep === "all" || same(setting.value, before?.[name]) || (name in sent && same(setting.value, sent[name]));
      if (untouched && !same(setting.value, saved.settings[name])) setting.value = saved.settings[name];
    }
    if (keep === "all" || this.clientId.value.trim() === this.loaded.app.client_id) this.clientId.value = saved.app.client_id;
    this.loaded = saved;
    // the form is hidden until now, because its fields held no saved values
    this.form.classList.add("loaded");
    this.showApp();
    for (const [name, code] of Object.entries(saved.usual_accounts)) byId(name).placeholder = `usually ${code}`;
    this.showHistory();
    this.mailAddresses.show(saved.mail);
    this.showChanged();
    this.showNames();
    this.showTodo();
  }

  get typed() {
    const values = {};
    for (const [name, setting] of Object.entries(this.settings)) {
      if (!same(setting.value, this.loaded.settings[name])) values[name] = setting.value;
    }
    return values;
  }

  get credentialsChanged() {
    return Boolean(this.clientSecret.value.trim()) || this.clientId.value.trim() !== this.loaded.app.client_id;
  }

  get changed() {
    return Boolean(this.loaded) && (this.credentialsChanged || Object.keys(this.typed).length > 0);
  }

  get values() {
    return Object.fromEntries(Object.entries(this.settings).map(([name, setting]) => [name, setting.value]));
  }

  /** Whether it is this save that lets orders go to Xero. */
  get switchesOn() {
    const { missing } = this.loaded;
    const completes = missing.length > 0 && missing.every((name) => this.settings[name].value);
    return this.connection?.status === "connected" && this.settings.enabled.value && (this.typed.enabled || completes);
  }

  // --- saving ---

  /** Saves the changes. True if nothing is left unsaved. */
  async save() {
    if (!this.loaded) return false;
    const half = this.credentialsChanged && !this.clientId.value.trim();
    this.clientId.setCustomValidity(half ? "Enter the Client ID, too." : "");
    const invalid = invalidIn(this.form);
    if (invalid.length) return this.refuse(invalid);
    this.notes = [];
    const wasChanged = this.changed;
    if (this.switchesOn && !(await this.mayGoOn())) {
      this.status("Not saved yet.");
      return false;
    }
    this.status("Saving …");
    const errors = [];
    for (const step of [() => this.saveCredentials(), () => this.saveSettings()]) {
      try {
        if ((await step()) === "conflict") return false;
      } catch (refused) {
        if (!refused.fields?.length) {
          showErrors(this.form, errors);
          return this.fail(refused);
        }
        errors.push(...refused.fields);
      }
    }
    if (errors.length) return this.refuse(errors);
    showErrors(this.form, []);
    this.forgetDraft();
    this.status(wasChanged ? `Saved ${momentWords(new Date())}.` : "Everything is saved.", this.missing(), ...this.notes);
    this.onSaved?.("settings");
    return true;
  }

  async saveCredentials() {
    if (!this.credentialsChanged) return;
    const secret = this.clientSecret.value.trim();
    const body = { client_id: this.clientId.value.trim(), ...(secret ? { client_secret: secret } : {}) };
    const { app } = await this.api.put("credentials", body);
    if (this.clientSecret.value.trim() === secret) this.clientSecret.value = "";
    this.loaded.app = app;
    this.showApp();
    this.onSaved?.("credentials");
  }

  async saveSettings() {
    const typed = this.typed;
    if (this.loaded.version && !Object.keys(typed).length) return "";
    try {
      const saved = await this.api.put("settings", { version: this.loaded.version, settings: typed });
      this.take(saved, "typed", typed);
      this.showNotes(saved.notes || []);
      if (saved.freed) this.notes.unshift(` ${saved.freed === 1 ? "1 order" : `${saved.freed} orders`} that had stopped or waited will be tried again now.`);
    } catch (refused) {
      if (refused.status !== 409 || !refused.body.current) throw refused;
      this.settle(refused, typed);
      return "conflict";
    }
    return "";
  }

  /** Remarks on saved values that may be wrong, such as a contact that Xero doesn't have. */
  showNotes(notes) {
    this.remarked = {};
    for (const { name, message } of notes) {
      const place = byId(`${name}-hint`);
      this.remarked[name] = this.settings[name]?.value;
      if (place) {
        say(place, message);
        place.classList.add("warn");
      }
    }
    this.notes.push(...notes.map(({ message }) => ` ${message}`));
  }

  refuse(errors) {
    const first = showErrors(this.form, errors);
    const elsewhere = withoutField(errors);
    const fields = errors.length - elsewhere.length;
    const words = [
      fields === 1 ? "Not saved: one field needs correcting." : "",
      fields > 1 ? `Not saved: ${fields} fields need correcting.` : "",
      ...elsewhere,
    ];
    this.status("");
    say(byId("save-error"), words.filter(Boolean).join(" "));
    if (first) reveal(first);
    return false;
  }

  fail(refused) {
    this.status("");
    say(byId("save-error"), refused.message);
    return false;
  }

  status(...words) {
    say(byId("save-error"), "");
    replace(byId("save-status"), words.filter(Boolean));
  }

  // --- somebody else saved meanwhile ---

  settle(refused, typed) {
    const { by, at, changes = [] } = refused.body.error;
    const { current } = refused.body;
    const titles = Object.fromEntries(changes.map(({ name, title }) => [name, title]));
    const theirs = Object.keys(this.settings).filter((name) => !same(current.settings[name], this.loaded.settings[name]));
    const both = theirs.filter((name) => name in typed && !same(typed[name], current.settings[name]));
    const others = theirs.filter((name) => !both.includes(name) && !(name in typed));
    const title = (name) => titles[name] || this.settings[name].label;

    byId("conflict-words").textContent =
      `${by || "Somebody"} saved changes${at ? ` (${momentWords(at)})` : ""} while you had this page open. Nothing of yours is lost.`;
    replace(
      byId("conflict-choices"),
      both.map((name) =>
        element(
          "fieldset",
          { class: "conflict" },
          element("legend", {}, title(name)),
          choice(name, "theirs", `${by || "Theirs"}: `, this.settings[name].words(current.settings[name])),
          choice(name, "mine", "Yours: ", this.settings[name].words(typed[name])),
        ),
      ),
    );
    replace(
      byId("conflict-others"),
      others.length
        ? [
            element("p", {}, both.length ? "Also changed, and taken over here:" : "Changed by them, and taken over here:"),
            element("ul", {}, others.map((name) => element("li", {}, `${title(name)}: ${this.settings[name].words(current.settings[name])}`))),
          ]
        : [],
    );
    byId("conflict-save").textContent = both.length ? "Save with these choices" : "Save mine as well";
    this.status("Not saved yet.");
    agreed(byId("conflict-dialog")).then(async (yes) => {
      if (!yes) return;
      const chosen = new FormData(byId("conflict-form"));
      for (const name of both) if (chosen.get(name) === "theirs") this.settings[name].value = current.settings[name];
      this.take(current);
      await this.save();
      byId("save").focus();
    });
    byId("conflict-heading").focus();
  }

  // --- what the page shows ---

  showApp() {
    const { app } = this.loaded;
    byId("redirect_uri").value = app.redirect_uri;
    replace(
      byId("client_secret-hint"),
      app.client_secret_set_at ? ["Set ", moment(app.client_secret_set_at), ". Leave it empty to keep it."] : ["Not set yet."],
    );
    byId("client_secret-hint").hidden = false;
    if (!this.guideShown) byId("guide").open = !app.client_secret_set_at;
    this.guideShown = true;
  }

  showHistory() {
    const { history, saved_by: by, saved_at: at } = this.loaded;
    replace(byId("saved-by"), at ? ["Last saved ", moment(at), by ? ` by ${by}` : ""] : "Nothing saved yet");
    replace(byId("history-list"), historyItems(history.map((act) => ({ ...act, what: act.changes ? act.changes.map((one) => this.changeWords(one)).join("; ") : act.what }))));
  }

  /** What a save changed, such as “Sales account: 200 → 205”; of a table the rows that were added and removed. */
  changeWords({ name, old, new: now }) {
    const setting = this.settings[name];
    if (!setting) return name;
    if (typeof now !== "object" || now === null) return `${setting.label}: ${setting.words(old)} → ${setting.words(now)}`;
    const parts = [["removed", old], ["added", now]].filter(([, rows]) => Object.keys(rows).length);
    return `${setting.label}: ${parts.map(([done, rows]) => `${done} ${setting.words(rows)}`).join(", ") || "rows in another order"}`;
  }

  showChanged() {
    if (!this.loaded) return;
    const { changed } = this;
    if (changed !== this.changeShown) this.status(changed ? "There are unsaved changes." : "");
    this.changeShown = changed;
  }

  /** Shows the organisation's name for a field's value. */
  async showName(input) {
    const name = input.dataset?.setting;
    const list = input.dataset?.list;
    if (!name || !list) return;
    await nothingHeld();
    const value = input.value.trim();
    const place = byId(`${name}-hint`);
    if (!value) say(place, "");
    const about = await this.lists.about(list, value);
    // the server's remark on this value says more
    if (input.value.trim() !== value || this.remarked[name] === value) return;
    say(place, about?.words);
    place.classList.toggle("warn", about?.found === false);
    this.unknown[name] = about?.found === false ? { value, words: about.words } : null;
    this.showTodo();
  }

  showNames() {
    for (const input of this.form.querySelectorAll("[data-setting][data-list]")) {
      // each contact takes a call to Xero, so it is only looked up when its field changes
      if (input.dataset.list !== "contacts") this.showName(input);
    }
  }

  missing() {
    const { missing } = this.loaded;
    return missing.length ? ` Still missing: ${missing.map((name) => this.settings[name]?.label || name).join(", ")}.` : "";
  }

  showTodo() {
    if (!this.loaded) return;
    const { advice = [], app, missing, settings } = this.loaded;
    const { connection } = this;
    const connected = connection?.status === "connected";
    const todo = [
      !app.client_id || !app.client_secret_set_at
        ? [leadTo(app.client_id ? "client_secret" : "client_id", "Client ID and Client Secret"), " of your Xero app"]
        : null,
      connection ? connectionTodo(connection.other_app ? "needs_reconnect" : connection.status) : null,
      ...missing.map((name) => [leadTo(name, this.settings[name]?.label || name)]),
    ].filter(Boolean);
    const where = connection?.organisation?.name || "Xero";
    // only for saved values; remarks on typed values stand beside their fields
    const needed = (name) => settings.process_method === "tracked" || !byId(name).closest(".tracked-only");
    const unknown = Object.keys(this.unknown).filter((name) => this.unknown[name]?.value === settings[name] && needed(name));
    if (todo.length) {
      replace(
        byId("todo"),
        element("p", {}, connected ? "Orders are kept here until this is filled in:" : "Before orders can go to Xero, this is still missing:"),
        element("ul", { class: "todo" }, todo.map((words) => element("li", {}, words))),
      );
    } else if (!settings.enabled) {
      replace(byId("todo"), element("p", { class: "notice warn" }, "Everything is set up, but switched off: no order is sent to Xero."));
    } else if (connected && connection.fix) {
      replace(byId("todo"), element("p", { class: "notice warn" }, `${connection.words} ${connection.fix}`));
    } else if (connected && unknown.length) {
      replace(
        byId("todo"),
        element("p", { class: "notice warn" }, "Orders that need this will stop:"),
        element("ul", { class: "todo" }, unknown.map((name) => element("li", {}, leadTo(name, this.settings[name].label), `: ${this.unknown[name].words}`))),
      );
    } else if (connected && this.foundWrong) {
      replace(byId("todo"), element("p", { class: "notice warn" }, "Orders that meet what is not right below will stop."));
    } else if (connected) {
      replace(byId("todo"), element("p", { class: "notice good" }, `Everything is set up. Orders are posted to ${where}.`));
    } else {
      replace(byId("todo"), element("p", { class: "quiet-words" }, "Looking at the connection …"));
    }
    if (advice.length) {
      byId("todo").append(
        element("p", { class: "notice warn" }, "Worth a second look:"),
        element("ul", { class: "todo" }, advice.map(({ name, message }) => element("li", {}, leadTo(name, this.settings[name].label), `: ${message}`))),
      );
    }
  }

  connectedAs(connection) {
    this.connection = connection;
    this.showTodo();
    this.showNames();
  }

  // --- a draft of what was typed when the session ended ---

  keepDraft() {
    if (!this.changed) return;
    const { typed } = this;
    const { version, settings } = this.loaded;
    const base = Object.fromEntries(Object.keys(typed).map((name) => [name, settings[name]]));
    const draft = { at: Date.now(), version, base, typed, clientId: this.clientId.value.trim() };
    try {
      localStorage.setItem(this.draftKey, JSON.stringify(draft));
      this.leaving = true;
    } catch {
      // if the browser stores nothing, it still warns before the window is closed
    }
  }

  restoreDraft() {
    let draft = null;
    try {
      draft = JSON.parse(localStorage.getItem(this.draftKey) || "null");
    } catch {
      return;
    }
    if (!draft || Date.now() - draft.at > DRAFT_KEPT_FOR || draft.version > this.loaded.version) return this.forgetDraft();
    for (const [name, value] of Object.entries(draft.typed)) if (this.settings[name]) this.settings[name].value = value;
    this.clientId.value = draft.clientId;
    // Compare with the version the draft was typed over. A change by somebody else then shows as a conflict.
    this.loaded = { ...this.loaded, version: draft.version, settings: { ...this.loaded.settings, ...draft.base } };
    this.showChanged();
    if (!this.changed) return this.forgetDraft();
    this.status("What you had typed before your session ended is back. Look through it and press Save.");
  }

  forgetDraft() {
    try {
      localStorage.removeItem(this.draftKey);
    } catch {
      // there is no draft
    }
  }
}

function connectionTodo(status) {
  switch (status) {
    case "not_connected":
    case "disconnected":
      return [leadTo("get-access-token", "Connect to Xero"), ": press Get Access Token"];
    case "needs_reconnect":
    case "cut_off":
      return [leadTo("reconnect", "Connect to Xero again"), ": press Reconnect"];
    case "wrong_credentials":
      return [leadTo("client_secret", "A new Client Secret"), ": Xero refuses the one entered here"];
    case "choose_organisation":
      return [leadTo("organisation-legend", "Choose the organisation")];
    case "confirm_organisation":
      return [leadTo("confirm-organisation", "Confirm the organisation")];
    default:
      return null;
  }
}

function choice(name, value, who, words) {
  const radio = element("input", { type: "radio", name, value, checked: value === "mine" });
  return element("label", { class: "choice" }, radio, element("span", {}, who, element("b", {}, words)));
}

async function copyRedirect() {
  const input = byId("redirect_uri");
  try {
    await navigator.clipboard.writeText(input.value);
    say(byId("copied"), "Copied.");
  } catch {
    input.select();
    say(byId("copied"), "Press Ctrl+C to copy the marked text.");
  }
}
