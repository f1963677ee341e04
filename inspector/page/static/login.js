import { translate } from "./language.js";

translate(document);
if (location.search === "?wrong") {
  document.getElementById("wrong").hidden = false;
  document.getElementById("token").setAttribute("aria-describedby", "wrong");
}
