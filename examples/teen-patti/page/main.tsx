/** Starts the page against the server it came from. */
import { render } from "preact";
import { App } from "./app.tsx";
import { startChoreography } from "./motion/choreography.ts";
import { start } from "./state/app.ts";
import { openPublicServer } from "./state/public-server.ts";
import { openServer } from "./state/server.ts";
import { wakeSound } from "./state/sound.ts";

const root = document.getElementById("app");
if (root !== null) {
  startChoreography();
  start((userId) => openServer({ url: `${location.origin}/v1/socket`, userId }), openPublicServer(location.origin));
  for (const event of ["pointerdown", "keydown"]) document.addEventListener(event, wakeSound);
  render(<App />, root);
}
