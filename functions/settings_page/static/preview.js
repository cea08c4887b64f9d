// A preview: the documents that an order would become under the settings on screen, saved or not.

import { byId, element, replace, upperFirst, whilePressed } from "./dom.js";
import { explained } from "./explained.js";
import { leadTo, showErrors, withLinks } from "./form.js";
import { KINDS } from "./order_page.js";
import { sentenceOf } from "./problems.js";

export class Preview {
  constructor(api, settings, orders) {
    this.api = api;
    this.settings = settings;
    this.orders = orders;
    this.card = byId("preview");
    this.card.addEventListener("toggle", () => this.offer());
    byId("preview-form").addEventListener("submit", (event) => event.preventDefault());
    whilePressed(byId("show-preview"), () => this.show());
    // by itself a browser shows only the line of a text box that is typed in, and the bar with Save may cover the rest
    byId("preview-pasted").addEventListener("focus", ({ target }) => target.scrollIntoView({ block: "nearest" }));
    settings.form.addEventListener("input", (event) => {
      const own = this.card.contains(event.target);
      if (!own && byId("preview-result").children.length) this.status("The settings on screen are others by now. Press Preview again.");
    });
  }

  /** The latest orders to choose from. */
  offer() {
    const known = this.orders.orders.map(({ id, ref, external_ref: external }) =>
      element("option", { value: id }, [ref, external].filter(Boolean).join(" · ")),
    );
    replace(byId("recent-orders"), known);
  }

  /** Opens the card for an order. */
  async open(id) {
    this.card.open = true;
    byId("preview-order").value = id;
    byId("preview-pasted").value = "";
    byId("preview-heading").scrollIntoView({ block: "start" });
    await this.show();
  }

  async show() {
    this.fail("");
    replace(byId("preview-result"));
    const asked = this.asked();
    if (typeof asked.refused === "string") return this.fail(asked.refused);
    this.status("Loading …");
    try {
      const { typed } = this.settings;
      this.take(await this.api.post("preview", asked.body(typed)), Object.keys(typed).length);
    } catch (refused) {
      this.status("");
      if (refused.status === 404) return this.fail("There is no such order here.");
      if (refused.fields?.length) showErrors(this.settings.form, refused.fields);
      const names = [...new Set((refused.fields || []).map(({ name }) => name.split(".")[0]))].filter((name) => this.settings.settings[name]);
      this.fail(refused.message, ...names.map((name) => element("p", {}, leadTo(name, this.settings.settings[name].label))));
    }
  }

  /** What is asked about, as the body of the request; or why nothing can be. */
  asked() {
    const pasted = byId("preview-pasted").value.trim();
    const id = byId("preview-order").value.trim().match(/[1-9]\d{0,18}$/)?.[0];
    if (!pasted) {
      if (!id) return { refused: "Choose an order, or paste one in." };
      return { body: (settings) => JSON.stringify({ order_id: id, settings }) };
    }
    let order = null;
    try {
      order = JSON.parse(pasted);
    } catch {
      // said below
    }
    if (!order || typeof order !== "object" || Array.isArray(order) || !Object.keys(order).length) {
      return { refused: "What is pasted in is no complete order. Copy it whole, from the first { to the last }." };
    }
    // as it was pasted, because numbers would lose decimals
    return { body: (settings) => `{"settings": ${JSON.stringify(settings)}, ${pasted.slice(1)}` };
  }

  take(answer, unsaved) {
    const { documents = [], problem, skipped, waits } = answer;
    const changes = unsaved ? `, with ${unsaved === 1 ? "one setting" : `${unsaved} settings`} that ${unsaved === 1 ? "is" : "are"} not saved yet` : "";
    this.status(`Under the settings on screen${changes}. Nothing was posted or saved.`);
    const stopped = problem && element("section", { class: "problem", "aria-label": "Problem" }, element("p", { class: "sentence" }, sentenceOf(orderIn(problem.sentence), problem)), element("p", {}, withLinks(problem.fix)));
    replace(
      byId("preview-result"),
      stopped || "",
      skipped ? element("p", { class: "notice" }, skipped) : "",
      waits ? element("p", { class: "notice warn" }, waits) : "",
      documents.map((made) =>
        element(
          "section",
          { class: "document" },
          element("h3", {}, `${KINDS[made.kind] || upperFirst(made.kind)} ${made.number}`),
          made.notes.length ? element("ul", { class: "notes" }, made.notes.map((note) => element("li", {}, note))) : "",
          explained(made),
        ),
      ),
    );
  }

  status(words) {
    byId("preview-status").textContent = words;
  }

  fail(words, ...more) {
    replace(byId("preview-error"), words ? element("div", { class: "notice bad" }, element("p", {}, words), more) : "");
  }
}

const orderIn = (sentence) => sentence.match(/^Order (\S+): /)?.[1] || "";
