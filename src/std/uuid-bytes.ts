/**
 * UUIDs as 16 bytes. Invariant: bytesToUuid(uuidToBytes(id)) === id for every canonical id.
 */

const hex: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function uuidToBytes(uuid: string): Uint8Array {
  const bytes = new Uint8Array(16);
  let at = 0;
  for (let index = 0; index < 36; index += 2) {
    if (uuid.charCodeAt(index) === 45) index++;
    bytes[at++] = (digit(uuid.charCodeAt(index)) << 4) | digit(uuid.charCodeAt(index + 1));
  }
  return bytes;
}

function digit(code: number): number {
  return code < 58 ? code - 48 : code - 87;
}

export function bytesToUuid(bytes: Uint8Array): string {
  const byte = (index: number): string => hex[bytes[index] as number] as string;
  const part = (from: number, to: number): string => {
    let text = "";
    for (let index = from; index < to; index++) text += byte(index);
    return text;
  };
  return `${part(0, 4)}-${part(4, 6)}-${part(6, 8)}-${part(8, 10)}-${part(10, 16)}`;
}
