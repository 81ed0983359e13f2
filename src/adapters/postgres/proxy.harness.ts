/**
 * A way to PostgreSQL that loses what it is told to: by default at the commit of the next delivery, which it knows by the statement that
 * moves the cursor.
 */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export type ProxyFault = "lose-answer" | "cut" | "hang";

export interface PostgresProxy {
  /** The server's URL by way of the proxy. */
  readonly through: (url: string) => string;
  /** Of the next commit of a delivery. */
  fault: ProxyFault | undefined;
  /** Called when a delivery hangs. */
  onHang: () => void;
  readonly close: () => Promise<void>;
}

/** Bytes by which the proxy knows what comes: `armed` was seen on a connection, and now `fired`. */
export interface ProxyTrigger {
  readonly armed: string;
  readonly fired: string;
}

const deliveries: ProxyTrigger = { armed: "holdfast-cursor\0", fired: "COMMIT\0" };

export async function startProxy(port: number, trigger: ProxyTrigger = deliveries): Promise<PostgresProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    let delivers = false;
    let loses = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (bytes) => {
      if (bytes.includes(trigger.armed)) delivers = true;
      const fault = delivers && bytes.includes(trigger.fired) ? proxy.fault : undefined;
      if (fault !== undefined) proxy.fault = undefined;
      if (fault === "cut") return client.destroy();
      if (fault === "hang") return proxy.onHang();
      if (fault === "lose-answer") loses = true;
      return upstream.write(bytes);
    });
    upstream.on("data", (bytes) => (loses ? client.destroy() : client.write(bytes)));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const own = (server.address() as AddressInfo).port;
  const proxy: PostgresProxy = {
    through: (url) => url.replace(`:${port}/`, `:${own}/`),
    fault: undefined,
    onHang: () => undefined,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
  return proxy;
}
