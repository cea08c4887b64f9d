// The lists of the connected organisation that fields choose from.

import { upperFirst } from "./dom.js";

const KEPT_FOR = 60_000;

const TYPE_WORDS = {
  DIRECTCOSTS: "Direct costs",
  OTHERINCOME: "Other income",
  CURRLIAB: "Current liability",
  TERMLIAB: "Non-current liability",
  NONCURRENT: "Non-current asset",
  CURRENT: "Current asset",
  FIXED: "Fixed asset",
  DEPRECIATN: "Depreciation",
};
const typeWords = (type) => TYPE_WORDS[type] || upperFirst(String(type || "").toLowerCase());

const READ = {
  accounts: async (api, purpose) => {
    const { accounts } = await api.get("xero/accounts", { for: purpose });
    return accounts.map(({ code, name, type }) => ({ value: code, label: name, detail: typeWords(type) }));
  },
  contacts: async (api, _, text) => {
    const { contacts } = await api.get("xero/contacts", { search: text });
    return contacts.map(({ name }) => ({ value: name, label: "", detail: "" }));
  },
  "tax-rates": async (api, purpose) => {
    const { tax_rates: rates } = await api.get("xero/tax-rates", { for: purpose });
    return rates.map(({ tax_type: type, name, rate }) => ({ value: type, label: name, title: name, detail: `${type} · ${rate} %` }));
  },
  currencies: async (api) => {
    const { currencies } = await api.get("xero/currencies");
    return currencies.map((code) => ({ value: code, label: "", detail: "" }));
  },
};

const PLACES = [
  { value: "anywhere", label: "all orders", detail: "" },
  { value: "home", label: "your organisation’s own country", detail: "" },
  { value: "EU", label: "the European Union, but for home", detail: "" },
  { value: "elsewhere", label: "all but home", detail: "" },
];

const NOUNS = { accounts: "account", contacts: "contact", "tax-rates": "tax rate", currencies: "currency" };

export class XeroLists {
  constructor(api) {
    this.api = api;
    this.connected = false;
    this.kept = new Map();
  }

  /** Notes whether the company is connected, and forgets the lists of another organisation. */
  connectedTo(organisationId) {
    this.connected = Boolean(organisationId);
    this.kept.clear();
  }

  /** The choices of a list such as `accounts:sales`; of `contacts` those that contain the text. */
  async choices(list, text = "") {
    const [kind, purpose] = list.split(":");
    if (kind === "places") return PLACES;
    const key = kind === "contacts" ? `${kind} ${text.trim().toLowerCase()}` : list;
    const kept = this.kept.get(key);
    if (kept && Date.now() - kept.at < KEPT_FOR) return kept.choices;
    const choices = READ[kind](this.api, purpose, text.trim());
    this.kept.set(key, { at: Date.now(), choices });
    choices.catch(() => this.kept.delete(key));
    return choices;
  }

  /** The organisation's name for a value, or that the value does not exist there; null if it is not known. */
  async about(list, value) {
    const kind = list.split(":")[0];
    if (!value || !this.connected) return null;
    let choices;
    try {
      choices = await this.choices(kind === "accounts" ? "accounts:all" : list, value);
    } catch {
      return null;
    }
    const wanted = value.trim().toLowerCase();
    const found = choices.find((choice) => choice.value.toLowerCase() === wanted);
    if (!found) return { found: false, words: `Your organisation in Xero has no active ${NOUNS[kind]} “${value}”.` };
    const words = found.label ? `${found.label}${found.detail ? ` (${found.detail})` : ""}` : "Found in Xero.";
    return { found: true, words };
  }
}
