/** stub */
export async function verifyPages(_path: string): Promise<boolean> {
  return true;
}
