// The section Book match: whether Xero's books are what was posted.

import { amount, byId, element, moment, replace, webAddress, whilePressed } from "./dom.js";

const LOOK_AGAIN_AFTER = 5_000;
const GOES_ON = new Set(["under_way", "waiting"]);

const many = (count, one, more) => `${count} ${count === 1 ? one : more}`;

export class BookMatch {
  constructor(api) {
    this.api = api;
    this.place = byId("book-match");
    this.place.addEventListener("toggle", () => this.place.open && this.load());
    whilePressed(byId("match-now"), () => this.ask(false));
    whilePressed(byId("match-in-full"), () => this.ask(true));
    setInterval(() => this.lookAgain(), LOOK_AGAIN_AFTER);
  }

  /** Opens the section, which loads it. */
  reveal() {
    this.place.open = true;
    const summary = this.place.querySelector("summary");
    summary.focus();
    summary.scrollIntoView({ block: "start" });
  }

  async load() {
    try {
      this.show(await this.api.get("book-match"));
    } catch (refused) {
      this.error(refused.message);
    }
  }

  async ask(inFull) {
    try {
      this.show(await this.api.post("book-match", { in_full: inFull }));
    } catch (refused) {
      this.error(refused.message);
    }
  }

  /** A match that is under way changes by itself. */
  lookAgain() {
    if (document.hidden || !this.place.open || this.place.closest("[hidden]") || !GOES_ON.has(this.now?.state)) return;
    this.load();
  }

  show(match) {
    this.now = match;
    this.error("");
    const { state, words, next_at: next, result } = match;
    const last = result ? ["Last matched ", moment(result.ended_at), ". "] : [];
    const then = next && !(state === "under_way") ? ["Next: ", moment(next), "."] : [];
    replace(byId("match-status"), words ? `${words} ` : "", ...last, ...then);
    replace(byId("match-result"), ...(result ? this.result(result) : []));
  }

  result(result) {
    return [
      this.verdict(result),
      result.differences.length ? element("ul", { class: "differences" }, result.differences.map((one) => this.difference(one))) : "",
      result.found > result.differences.length ? element("p", {}, `The first ${result.differences.length} of ${result.found} are listed.`) : "",
      ...this.sums(result.sums),
      ...this.numbers(result),
      ...this.beside(result),
    ];
  }

  verdict({ found, in_full: inFull, first }) {
    const what = inFull ? "all documents" : ["the documents dated from ", element("b", {}, first), " on, and of those changed since the match before"];
    const words = found ? [many(found, "difference", "differences"), " among "] : ["No difference among "];
    return element("p", { class: `notice ${found ? "bad" : "good"}` }, element("b", {}, words[0]), words[1] || "", what, ".");
  }

  difference({ sentence, fix, link, order_id: order }) {
    const address = link && webAddress(link);
    return element(
      "li",
      {},
      element("p", {}, element("b", {}, sentence)),
      element("p", {}, fix),
      element(
        "p",
        {},
        address ? element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, "Open in Xero", element("span", { class: "hidden-words" }, " (opens in a new tab)")) : "",
        address && order ? " · " : "",
        order ? element("a", { href: `#orders/${encodeURIComponent(order)}` }, `Order ${order}`) : "",
      ),
    );
  }

  sums(sums) {
    if (!sums.length) return [];
    const heads = ["Documents", "Number", "Net", "Tax"].map((head, place) => element("th", { scope: "col", class: place ? "amount" : "" }, head));
    const rows = sums.map((sum) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, `${sum.words}, ${sum.stands}`, element("span", { class: "help" }, this.accounts(sum))),
        element("td", { class: "amount", "data-label": "Number" }, String(sum.count)),
        element("td", { class: "amount", "data-label": "Net" }, amount(sum.net, sum.currency)),
        element("td", { class: "amount", "data-label": "Tax" }, amount(sum.tax, sum.currency)),
      ),
    );
    return [
      element("h3", {}, "Where they stand"),
      element("div", { class: "scroll" }, element("table", { class: "lines sums" }, element("thead", {}, element("tr", {}, heads)), element("tbody", {}, rows))),
    ];
  }

  accounts({ kind, in_accounts: inAccounts }) {
    if (kind === "purchase_order") return "Purchase orders are in no account";
    return inAccounts ? "In the accounts" : "Not yet in the accounts";
  }

  numbers({ used, void: dead, voids, skipped, skips }) {
    const left = (shown, all) => (all > shown ? ` and ${all - shown} more` : "");
    return [
      element("h3", {}, "Invoice numbers"),
      element("p", {}, "A number is the prefix and the platform’s order number. All companies share those, so there are gaps in which nothing is missing."),
      element(
        "ul",
        { class: "numbers" },
        used.map(({ count, first, last }) => element("li", {}, `Used: ${count}, from ${first} to ${last}`)),
        element("li", {}, voids ? `Voided or deleted: ${dead.join(", ")}${left(dead.length, voids)}` : "Voided or deleted: none"),
        element(
          "li",
          {},
          skips
            ? `Of orders that are not posted: ${skipped.map(({ number, title }) => `${number} (${title})`).join(", ")}${left(skipped.length, skips)}`
            : "Of orders that are not posted: none",
        ),
      ),
    ];
  }

  beside({ others, elsewhere, lines_read: read, lines_left: left }) {
    const words = [
      `Accounts and tax rates were compared for ${many(read, "document", "documents")} changed after posting${left ? `; ${left} more were too many for one match` : ""}.`,
      others ? `${many(others, "other document", "other documents")} in these books do not have this prefix, and were not compared.` : "",
      ...elsewhere.map(({ company, count }) => `${many(count, "document", "documents")} of company ${company} in the same books: that company has a match of its own.`),
    ];
    return words.filter(Boolean).map((text) => element("p", { class: "help" }, text));
  }

  error(words) {
    replace(byId("match-error"), words ? element("p", { class: "notice bad" }, words) : "");
  }
}
