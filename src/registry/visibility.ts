/**
 * Who may see what upstream gave, the narrowest first.
 * - `own`: it was given with a client's credentials; only clients whose own credentials upstream accepts.
 * - `shared`: with the proxy's; anyone the access rules admit.
 * - `public`: without credentials.
 */
export const VISIBILITIES = ['own', 'shared', 'public'] as const;
export type Visibility = (typeof VISIBILITIES)[number];

/** The narrower of two: what both allow. */
export function narrower(a: Visibility, b: Visibility): Visibility {
  return isWider(a, b) ? b : a;
}

/** True where `a` lets more people see the content than `b`. */
export function isWider(a: Visibility, b: Visibility): boolean {
  return VISIBILITIES.indexOf(a) > VISIBILITIES.indexOf(b);
}
