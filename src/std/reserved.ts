/**
 * Property names that mean something to JavaScript itself. As keys of data from outside they would be a way to change
 * prototypes, so no decoder and no name check lets them through.
 */
export const reservedKeys: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** The one member of a sealed value. Plain data may have it only where the limits of its copy say so. */
export const sealedMember = "$sealed";
