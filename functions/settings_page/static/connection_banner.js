// On the tabs Overview and Orders: that orders wait for a connection to Xero.

import { byId, element, replace } from "./dom.js";
import { settingLink } from "./form.js";

/** Shows it for as long as it is true. A company that has never been connected has nothing that waits. */
export function showConnectionBanner({ status, other_app: otherApp, words, fix }) {
  const waits = !["connected", "not_connected"].includes(status) || otherApp;
  const [place, name] = status === "wrong_credentials" ? ["client_secret", "Client Secret"] : ["connection-heading", "Connection"];
  for (const tab of ["overview-connection", "orders-connection"]) {
    replace(
      byId(tab),
      waits
        ? element(
            "div",
            { class: "notice bad" },
            element("p", {}, element("b", {}, "Orders wait: the connection to Xero needs you")),
            element("p", {}, words, fix ? ` ${fix}` : ""),
            element("p", {}, settingLink(place, `Go to Settings, ${name}`)),
          )
        : "",
    );
  }
}
