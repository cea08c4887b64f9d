// Check setup: what the server and Xero say of the settings on screen, each thing with a tick or with what to do.

import { agreed, byId, element, moment, replace, same, whilePressed } from "./dom.js";
import { leadTo } from "./form.js";

const SIGNS = { good: ["✓", "All right"], warning: ["!", "Worth a look"], wrong: ["✗", "Not right"], unknown: ["?", "Not known"] };

export class SetupCheck {
  constructor(api, tab) {
    this.api = api;
    this.tab = tab;
    this.checked = null;
    tab.mayGoOn = () => this.mayGoOn();
    whilePressed(byId("check-setup"), () => this.check());
  }

  /** Looks, and shows what was found; null if that was not possible. */
  async check() {
    if (!this.tab.loaded) return null;
    const values = this.tab.values;
    replace(byId("checks"), element("p", { class: "quiet-words" }, "Asking Xero …"));
    try {
      const { checks, checked_at: at } = await this.api.post("check-setup", { settings: this.tab.typed });
      this.checked = values;
      const wrong = checks.filter(({ result }) => result === "wrong").length;
      this.found(wrong);
      const summary = wrong ? `${wrong === 1 ? "One thing is" : `${wrong} things are`} not right` : "Nothing is wrong";
      replace(byId("checks"), element("p", {}, element("b", {}, summary), ", as of ", moment(at), "."), element("ul", { class: "checks" }, checks.map(item)));
      return checks;
    } catch (refused) {
      const { fields } = refused;
      const words = fields?.length ? "Some values on this page can’t be saved, so they can’t be checked." : refused.message;
      replace(byId("checks"), element("p", { class: "notice bad" }, words));
      if (fields?.length) this.tab.refuse(fields);
      else this.tab.notes.push(` The set-up was not checked. ${refused.message}`);
      return null;
    }
  }

  /** Before orders go to Xero: whether nothing is wrong, or a person saves all the same. */
  async mayGoOn() {
    this.tab.status("Checking the set-up …");
    const wrong = (await this.check())?.filter(({ result }) => result === "wrong") ?? [];
    replace(byId("check-wrong"), wrong.map((one) => item({ ...one, setting: "" })));
    return !wrong.length || agreed(byId("check-dialog"));
  }

  /** A check of other settings than those that are saved now says nothing of them. */
  settingsSaved() {
    if (!this.checked || same(this.checked, this.tab.values)) return;
    replace(byId("checks"));
    this.found(0);
  }

  found(wrong) {
    this.tab.foundWrong = wrong > 0;
    this.tab.showTodo();
  }
}

const item = ({ title, result, words, fix, setting }) =>
  checkItem(result, setting && result !== "good" ? leadTo(setting, title) : title, `${words} `, fix);

/** One thing that was looked at: a sign, its title, and words. */
export function checkItem(result, title, ...words) {
  const [sign, meaning] = SIGNS[result];
  return element(
    "li",
    { class: result },
    element("span", { class: "sign", "aria-hidden": "true" }, sign),
    element("div", {}, element("b", {}, title), element("span", { class: "hidden-words" }, ` (${meaning})`), ": ", ...words),
  );
}
