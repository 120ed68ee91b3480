/** What validation must know of where a Pod spec stands. */
export interface PodOptions {
  /** A Pod itself, not the template of a workload. */
  readonly isPod: boolean;
  /** The Pod's name, for the names of claims made for it. */
  readonly podName?: string;
  /** The stored object has label selectors with values that are no label values: it may keep them. */
  readonly allowInvalidSelectorValues?: boolean;
}
export const TEMPLATE: PodOptions = { isPod: false };
