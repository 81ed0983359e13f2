/**
 * The lock check: the registry that a lock was made with may lack the packages of other platforms, and npm then drops
 * them from the lock for everybody.
 */

export interface LockFile {
  readonly packages?: Readonly<Record<string, LockedPackage>>;
}

interface LockedPackage {
  readonly resolved?: string;
  readonly link?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export function lockViolations(lock: LockFile): string[] {
  const packages = lock.packages ?? {};
  const violations: string[] = [];
  for (const [path, entry] of Object.entries(packages)) {
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      if (packages[`${path}/node_modules/${name}`] === undefined && packages[`node_modules/${name}`] === undefined)
        violations.push(`package-lock.json: ${path} lacks ${name}`);
    }
    if (entry.resolved !== undefined && entry.link !== true)
      violations.push(`package-lock.json: ${path} has an address`);
  }
  return violations;
}
