/**
 * Who may see what upstream gave, the narrowest first.
 * - `own`: it was given with a client's credentials; only clients whose own credentials upstream accepts.
 * - `shared`: with the proxy's; anyone the access rules admit.
 * - `public`: without credentials.
 */
export const VISIBILITIES = ['own', 'shared', 'public'] as const;
export type Visibility = (typeof VISIBILITIES)[number];

/**
 * What becomes of images that only the proxy's own credentials open.
 * - `shared`: they are served to anyone the access rules admit.
 * - `upstream`: to clients that upstream itself admits; others get upstream's challenge.
 * - `deny`: the same, and others are refused without one.
 */
export const PRIVATE_IMAGES = ['shared', 'upstream', 'deny'] as const;
export type PrivateImages = (typeof PRIVATE_IMAGES)[number];

/** The narrower of two: what both allow. */
export function narrower(a: Visibility, b: Visibility): Visibility {
  return isWider(a, b) ? b : a;
}

/** True where `a` lets more people see the content than `b`. */
export function isWider(a: Visibility, b: Visibility): boolean {
  return VISIBILITIES.indexOf(a) > VISIBILITIES.indexOf(b);
}
