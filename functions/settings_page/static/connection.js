// The section Connection: its status, and the buttons that change it.

import { showConnectionBanner } from "./connection_banner.js";
import { agreed, byId, element, moment, replace, webAddress, whilePressed } from "./dom.js";
import { reveal } from "./form.js";

const BADGES = {
  not_connected: ["Not connected", "plain"],
  disconnected: ["Disconnected", "plain"],
  choose_organisation: ["Choose the organisation", "warn"],
  confirm_organisation: ["Confirm the organisation", "warn"],
  connected: ["Connected", "good"],
  needs_reconnect: ["Connect again", "bad"],
  wrong_credentials: ["Xero refuses the app", "bad"],
  cut_off: ["Access was taken away in Xero", "bad"],
};

const NOT_LINKED = new Set(["not_connected", "disconnected"]);
const LOST = new Set(["needs_reconnect", "wrong_credentials", "cut_off"]);

export class ConnectionSection {
  constructor(api, lists, tab) {
    this.api = api;
    this.lists = lists;
    this.tab = tab;
    whilePressed(byId("get-access-token"), () => this.connect());
    whilePressed(byId("reconnect"), () => this.connect());
    whilePressed(byId("use-organisation"), () => this.chooseOrganisation());
    whilePressed(byId("confirm-organisation"), () => this.chooseOrganisation(this.now.organisation.id));
    byId("organisation-choices").addEventListener("change", () => this.error(""));
    whilePressed(byId("disconnect"), async () => (await agreed(byId("disconnect-dialog"))) && this.disconnect());
    // the browser's Back button may show this page as it was before
    window.addEventListener("pageshow", (event) => {
      if (!event.persisted) return;
      tab.leaving = false;
      this.error("");
      this.load();
    });
  }

  async load() {
    try {
      this.show(await this.api.get("connection"));
    } catch (refused) {
      const again = whilePressed(element("button", { type: "button", class: "quiet" }, "Try again"), () => this.load());
      replace(byId("connection-state"), element("p", { class: "notice bad" }, refused.message), again);
    }
  }

  show(connection) {
    this.now = connection;
    const { status, organisation, previous_organisation: before, choices = [] } = connection;
    const [badge, tone] = connection.other_app ? BADGES.needs_reconnect : BADGES[status] || [connection.words, "plain"];
    replace(
      byId("connection-state"),
      element("p", {}, element("span", { class: `badge ${tone}` }, badge)),
      element("p", {}, connection.words),
      connection.fix ? element("p", { class: "fix" }, connection.fix) : "",
      connection.scopes_missing
        ? element("p", { class: "error" }, `Permissions that are missing: ${connection.scopes_missing}. Press Reconnect and allow all of them.`)
        : "",
      connection.connected_at
        ? element("p", { class: "help" }, "Connected ", moment(connection.connected_at), connection.connected_by ? ` by ${connection.connected_by}` : "", ".")
        : "",
    );
    this.showChoices(status === "choose_organisation" ? choices : []);
    const changing = status === "confirm_organisation" && organisation;
    byId("organisation-change").hidden = !changing;
    if (changing) {
      replace(byId("organisation-change-words"), "Until now orders went to ", element("b", {}, before?.name || "another organisation"), ". You are now connected to ", element("b", {}, organisation.name), ".");
      byId("confirm-organisation").textContent = `Yes, post to ${organisation.name}`;
    }
    const linked = !NOT_LINKED.has(status);
    byId("get-access-token").hidden = linked;
    byId("reconnect").hidden = !linked;
    byId("reconnect").className = connection.other_app || LOST.has(status) ? "main" : "quiet";
    byId("disconnect").hidden = !linked;
    byId("disconnect-name").textContent = organisation?.name || "your organisation";
    replace(byId("organisation-name"), (linked && organisation?.name) || "–");
    replace(byId("tenant-id"), connection.tenant_id || "–");
    replace(byId("access-token"), connection.access_token?.masked || "–");
    replace(byId("access-token-expires"), moment(connection.access_token?.expires_at) || "–");
    replace(byId("refresh-token"), connection.refresh_token?.masked || "–");
    replace(byId("refresh-token-expires"), moment(connection.refresh_token?.expires_at) || "–");
    this.lists.connectedTo(status === "connected" ? organisation?.id : "");
    this.tab.connectedAs(connection);
    showConnectionBanner(connection);
    this.onStatus?.(status);
  }

  showChoices(choices) {
    byId("organisation-choice").hidden = !choices.length;
    replace(
      byId("organisation-choices"),
      choices.map(({ id, name }) =>
        element("label", { class: "choice" }, element("input", { type: "radio", name: "organisation", value: id }), element("span", {}, name)),
      ),
    );
  }

  async chooseOrganisation(id = byId("settings-form").elements.organisation?.value) {
    if (!id) return this.error("Choose one of the organisations first.");
    this.error("");
    try {
      this.show(await this.api.post("connection/organisation", { organisation_id: id }));
      reveal("reconnect");
    } catch (refused) {
      this.error(refused.message);
    }
  }

  /** Saves the form, then opens Xero in this window. */
  async connect() {
    this.error("");
    const { loaded, changed } = this.tab;
    if (!loaded) return;
    if (changed && !(await this.tab.save())) {
      return this.error("Not gone to Xero yet, because what you typed is not saved. Look at the message beside Save.", false);
    }
    if (!this.tab.loaded.app.client_id || !this.tab.loaded.app.client_secret_set_at) {
      this.error("Enter the Client ID and the Client Secret of your Xero app first.", false);
      return reveal(this.tab.loaded.app.client_id ? "client_secret" : "client_id");
    }
    try {
      const { authorization_url: address } = await this.api.post("connect");
      const target = webAddress(address);
      if (!target) throw new Error("The address of Xero’s login page is not valid. Tell whoever runs this integration.");
      this.tab.leaving = true;
      location.assign(target);
    } catch (refused) {
      this.error(refused.message);
    }
  }

  async disconnect() {
    this.error("");
    try {
      const { words } = await this.api.delete("connection");
      await this.load();
      if (words) byId("connection-state").append(element("p", { class: "notice good" }, words));
      byId("get-access-token").focus();
    } catch (refused) {
      this.error(refused.message);
    }
  }

  error(words, scroll = true) {
    replace(byId("connection-error"), words ? element("p", { class: "notice bad" }, words) : "");
    if (words && scroll) byId("connection-error").scrollIntoView({ block: "center" });
  }
}
