// Below “E-mail errors to”: how it is with each address, and sending the confirmation again.

import { byId, element, moment, replace, whilePressed } from "./dom.js";

const BADGES = {
  new: ["Confirmation on its way", "plain"],
  asked: ["Waiting for confirmation", "warn"],
  confirmed: ["Confirmed", "good"],
  stopped: ["Switched off", "warn"],
  bounced: ["Switched off", "bad"],
  complained: ["Switched off", "bad"],
};
const LOOK_AGAIN_AFTER = 30_000;

export class MailAddresses {
  constructor(api) {
    this.api = api;
    this.place = byId("mail-addresses");
    this.status = byId("mail-status");
  }

  /** `mail`: why no mail is sent, and the saved addresses. */
  show(mail) {
    if (!mail) return;
    const { words, addresses } = mail;
    replace(
      this.place,
      words ? element("p", { class: "notice warn" }, words) : "",
      addresses.length ? element("ul", { class: "addresses" }, addresses.map((one) => this.listed(one))) : "",
    );
    clearTimeout(this.timer);
    // somebody may confirm it in another window
    if (addresses.some(({ status }) => status === "new" || status === "asked")) {
      this.timer = setTimeout(() => this.lookAgain(), LOOK_AGAIN_AFTER);
    }
  }

  listed({ address, status, words, fix, changed_at: changedAt, can_ask: canAsk }) {
    const [badge, tone] = BADGES[status] || [status, "plain"];
    return element(
      "li",
      {},
      element("p", {}, element("b", {}, address), " ", element("span", { class: `badge ${tone}` }, badge), changedAt ? element("span", { class: "help" }, " ", moment(changedAt)) : ""),
      status === "confirmed" && !fix ? "" : element("p", { class: "help" }, words, fix ? ` ${fix}` : ""),
      canAsk
        ? whilePressed(
            element("button", { type: "button", class: "quiet" }, "Send the confirmation again", element("span", { class: "hidden-words" }, ` to ${address}`)),
            () => this.ask(address),
          )
        : "",
    );
  }

  async ask(address) {
    try {
      this.show(await this.api.post("mail-addresses/confirmation", { address }));
      this.status.textContent = `The confirmation goes to ${address} within a minute.`;
    } catch (refused) {
      this.status.textContent = refused.message;
    }
    this.place.focus();
  }

  async lookAgain() {
    const idle = document.hidden || byId("settings-panel").hidden || this.place.contains(document.activeElement);
    if (idle) {
      this.timer = setTimeout(() => this.lookAgain(), LOOK_AGAIN_AFTER);
      return;
    }
    try {
      this.show((await this.api.get("settings")).mail);
    } catch {
      // it is only a look; what is shown stays
    }
  }
}
