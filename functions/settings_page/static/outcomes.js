// The result of an attempt to connect, in words.

// Where a company is connected, the button is called Reconnect: `outcome` says which one is meant.
const again = "Press Get Access Token again.";

export const OUTCOMES = {
  connected: {
    good: true,
    title: "Connected to Xero",
    words: "Look through the accounts and the contact name below, and press Save.",
    doneBySaving: "settings",
  },
  choose_organisation: {
    good: true,
    title: "One more step: choose your organisation",
    words: "You have given access to several organisations in Xero. Choose under Connection which one the orders should go to.",
    goTo: ["organisation-legend", "Choose now"],
  },
  confirm_organisation: {
    title: "Please confirm the organisation",
    words: "This is another organisation than before, so nothing is posted yet. Confirm it under Connection, or connect again and choose the earlier one.",
    goTo: ["confirm-organisation", "Confirm now"],
  },
  access_denied: {
    title: "Not connected: access was not allowed",
    words: "You pressed Cancel in Xero, so nothing was connected.",
    fix: "Press Get Access Token again, and Allow access in Xero. If you can’t allow it, ask somebody who administers your Xero organisation.",
  },
  code_expired: {
    title: "Not connected: it took too long",
    words: "Xero’s permission is valid for five minutes, and it came back later than that.",
    fix: again,
  },
  code_used: {
    title: "Not connected: the permission was used already",
    words: "Xero’s permission works only once. This happens when the page is reloaded on its way back, or opened in two windows.",
    fix: `Look under Connection whether you are connected already. If not: ${again}`,
  },
  wrong_app_credentials: {
    title: "Not connected: Xero does not accept the client secret",
    words: "The Client ID and the Client Secret entered here don’t belong together, or the secret was replaced in Xero.",
    fix: "Generate a new secret on the app’s Configuration page in Xero’s developer portal, enter it below, press Save, and then Get Access Token.",
    goTo: ["client_secret", "Go to the Client Secret"],
    doneBySaving: "credentials",
  },
  wrong_redirect_url: {
    title: "Not connected: the redirect URI is not entered in Xero",
    words: "Xero does not know the address to come back to.",
    fix: "Copy the Redirect URI below into the app’s Configuration page in Xero’s developer portal, letter by letter, save it there, and press Get Access Token again.",
    goTo: ["copy-redirect", "Go to the Redirect URI"],
  },
  no_organisation: {
    title: "Not connected: no organisation was chosen",
    words: "You logged in to Xero, but no organisation came with it. Your Xero login may have no organisation yet, or none was selected.",
    fix: "Press Get Access Token again and select your organisation in Xero. If it isn’t listed there, ask its owner to invite you.",
  },
  scopes_missing: {
    title: "Not connected: some permissions are missing",
    words: "To post orders, the integration needs everything that Xero’s page lists: invoices, contacts and settings.",
    fix: "Press Get Access Token again and allow all of it. If Xero lists less, the app in the developer portal has to be of the kind “Web app”.",
  },
  state_invalid: {
    title: "Not connected: the answer did not belong to this page",
    words: "For safety, an answer from Xero counts only for the company and the window that asked for it.",
    fix: again,
  },
  state_expired: {
    title: "Not connected: it took too long",
    words: "More than ten minutes went by between pressing the button and coming back from Xero.",
    fix: again,
  },
  state_used: {
    title: "This answer from Xero was used already",
    words: "This happens when the page is reloaded on its way back, or opened in two windows.",
    fix: `Look under Connection whether you are connected already. If not: ${again}`,
  },
  other_person: {
    title: "Not connected: somebody else started this",
    words: "Only the person who pressed Get Access Token, in the same browser, can finish it.",
    fix: "Press Get Access Token yourself.",
  },
  session_lost: {
    title: "Not connected: your time on this page was over",
    words: "Your hour here ended while you were in Xero, so nothing was connected.",
    fix: again,
  },
  taken_out: {
    title: "Not connected: this company is taken out",
    words: "Whoever runs this integration has taken this company out of it. Its orders are skipped.",
    fix: "Ask them to take it in again.",
  },
  xero_unavailable: {
    title: "Not connected: Xero does not answer right now",
    words: "Your settings are saved. Nothing else was changed.",
    fix: "Wait a few minutes and press Get Access Token again. Xero reports outages on status.xero.com.",
  },
  xero_refused: {
    title: "Not connected: Xero refused",
    words: "Xero sent an answer that can’t be used.",
    fix: "Press Get Access Token again. If it happens again, tell whoever runs this integration.",
  },
};

/** The words of a result, with the name that the button has now. */
export function outcome(code, button) {
  const found = (Object.hasOwn(OUTCOMES, code) && OUTCOMES[code]) || {
    title: "Connecting to Xero did not work",
    words: "The reason is not known to this page.",
    fix: `Press Get Access Token again. If it happens again, tell whoever runs this integration that it said “${String(code).slice(0, 60)}”.`,
  };
  const named = (words) => words?.replaceAll("Get Access Token", button);
  return { ...found, words: named(found.words), fix: named(found.fix) };
}
