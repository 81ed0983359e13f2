/**
 * Which addresses are of the public internet. Who lets strangers name the URL of a webhook must not let them have requests made to
 * machines that only this one reaches.
 *
 * Invariant: the address that was checked is the one that is connected to: a name is looked up once.
 */
import { lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";

/** Not of the public internet (RFC 6890 and its successors): this machine, private, shared, link-local, documentation, multicast, reserved. */
const inner = new BlockList();
for (const [network, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const)
  inner.addSubnet(network, bits, "ipv4");
/** Global unicast is 2000::/3; of it these are not, or lead to addresses of version 4 by translation. */
const innerOfGlobal = new BlockList();
for (const [network, bits] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const)
  innerOfGlobal.addSubnet(network, bits, "ipv6");
const global = new BlockList();
global.addSubnet("2000::", 3, "ipv6");

export function isPublicAddress(address: string): boolean {
  const version = isIP(address);
  if (version === 4) return !inner.check(address, "ipv4");
  if (version !== 6 || address.includes("%")) return false;
  return global.check(address, "ipv6") && !innerOfGlobal.check(address, "ipv6");
}

/** For `node:http`: a name that leads to any address that is not public leads nowhere. */
export const lookupPublic: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, found) => {
    if (error !== null) return callback(error, "", 0);
    const [first] = found;
    if (first === undefined || found.some(({ address }) => !isPublicAddress(address)))
      return callback(
        Object.assign(new Error("the name leads to an address that is not public"), { code: notPublic }),
        "",
        0,
      );
    if (options.all === true) callback(null, found);
    else callback(null, first.address, first.family);
  });
};

export const notPublic = "HOLDFAST_NOT_PUBLIC";
