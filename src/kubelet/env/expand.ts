/**
 * `$(VAR)` references in commands, arguments and environment values: expanded from `values`, left as written when unknown,
 * `$$(VAR)` stands for a literal `$(VAR)`. Source: API reference, Container.command.
 */
export function expand(text: string, values: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (whole, name: string | undefined) => {
    if (whole === '$$') return '$';
    return values.get(name!) ?? whole;
  });
}
