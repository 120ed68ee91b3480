/** Names of nftables tables that clusters of this machine have for themselves: of the network, the proxy, forwarding and policies. */
const NAME = 'podyard(?:_[0-9a-f]+)?(?:_proxy|_forward|_policy)?';
const TABLE = new RegExp(`^${NAME}$`);
/** A change of such a table as `nft monitor` prints it, or the line that ends a transaction. */
const CHANGE = new RegExp(`^(?:\\w+ (?:\\w+ )?ip ${NAME}\\b|# new generation)`);

export function isOwnTable(family: string, table: string): boolean {
  return family === 'ip' && TABLE.test(table);
}
export function isOwnChange(line: string): boolean {
  return CHANGE.test(line);
}
