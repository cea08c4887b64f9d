// On the Orders tab: that orders wait for a connection to Xero.

import { byId, element, replace } from "./dom.js";
import { settingLink } from "./form.js";

/** Shows it for as long as it is true. */
export function showConnectionBanner({ status, other_app: otherApp, words, fix }) {
  const waits = status !== "connected" || otherApp;
  replace(
    byId("orders-connection"),
    waits
      ? element(
          "div",
          { class: "notice bad" },
          element("p", {}, element("b", {}, "Orders wait: the connection to Xero needs you")),
          element("p", {}, words, fix ? ` ${fix}` : ""),
          element("p", {}, status === "wrong_credentials" ? settingLink("client_secret", "Go to Settings, Client Secret") : settingLink("connection-heading", "Go to Settings, Connection")),
        )
      : "",
  );
}
