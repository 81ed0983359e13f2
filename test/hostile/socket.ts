/**
 * A WebSocket and a TCP connection that do as they are told, including what no client should do.
 */
import { connect as connectTcp, type Socket as TcpSocket } from "node:net";
import { WebSocket } from "ws";
import { type Encoding, encodePlain, type FrameData } from "../../src/wire/codec.ts";
import { parseServerFrame } from "../../src/wire/messages.ts";
import { type ServerMessage, subprotocol } from "../../src/wire/protocol.ts";

export interface Socket {
  readonly raw: WebSocket;
  /** Everything heard and not yet taken by `hear`. */
  readonly messages: ServerMessage[];
  /** Bytes or text are sent as they are, anything else encoded. */
  send(frame: unknown): void;
  /** Waits for a message, which is then taken; rejects if the connection closes first. */
  hear(matches: (message: ServerMessage) => boolean): Promise<ServerMessage>;
  ask(frame: unknown, matches: (message: ServerMessage) => boolean): Promise<ServerMessage>;
  /** The code with which it closed, or closes. */
  readonly closed: Promise<number>;
  end(): void;
}

/** Connects, and says hello if there is a token. */
export async function open(
  port: number,
  encoding: Encoding,
  token?: string,
  headers: Record<string, string> = {},
): Promise<Socket> {
  const raw = new WebSocket(`ws://127.0.0.1:${port}/v1/socket`, [subprotocol[encoding]], { headers });
  const socket = listen(raw, encoding);
  await new Promise<void>((resolve, reject) => {
    raw.on("open", () => resolve());
    raw.on("error", reject);
  });
  if (token !== undefined) await socket.ask([{ t: "hello", token }], (message) => message.t === "welcome");
  return socket;
}

function listen(raw: WebSocket, encoding: Encoding): Socket {
  const messages: ServerMessage[] = [];
  const waiting = new Set<() => void>();
  let over: number | undefined;
  raw.on("message", (data: Buffer) => {
    messages.push(...parseServerFrame(data, encoding));
    for (const look of waiting) look();
  });
  const closed = new Promise<number>((resolve) => {
    raw.on("close", (code) => {
      over = code;
      resolve(code);
      for (const look of waiting) look();
    });
  });
  raw.on("error", () => {});
  const hear = (matches: (message: ServerMessage) => boolean): Promise<ServerMessage> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const index = messages.findIndex(matches);
        if (index === -1 && over === undefined) return;
        waiting.delete(look);
        if (index === -1) reject(new Error(`closed with ${over} before the answer`));
        else resolve(messages.splice(index, 1)[0] as ServerMessage);
      };
      waiting.add(look);
      look();
    });
  const send = (frame: unknown): void => {
    const ready = typeof frame === "string" || frame instanceof Uint8Array;
    raw.send(ready ? (frame as FrameData) : encodePlain(frame, encoding));
  };
  return {
    raw,
    messages,
    send,
    hear,
    ask: (frame, matches) => {
      send(frame);
      return hear(matches);
    },
    closed,
    end: () => raw.terminate(),
  };
}

export interface Tcp {
  readonly socket: TcpSocket;
  /** Everything received when the other side closed. */
  readonly received: Promise<string>;
}

/** Connects and sends; the connection stays open until the other side closes it. */
export function tcp(port: number, bytes: string | Uint8Array): Tcp {
  const socket = connectTcp(port, "127.0.0.1");
  const received = new Promise<string>((resolve) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
  });
  socket.write(bytes);
  return { socket, received };
}
