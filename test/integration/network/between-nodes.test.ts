/** Pods of two nodes that are joined by routes alone, with the rules of both nodes in place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyNft } from '#base/nft.ts';
import { tableScript } from '#network/node-network.ts';
import { emptyTable } from '#proxy/table.ts';
import { serve, sourceSeen } from './conversation.ts';
import { addPod, makeMachines } from './namespaces.ts';

const CLUSTER = '10.244.0.0/16';

test("Pods of two nodes see each other's addresses, with strict reverse-path filters too; what leaves the cluster has the node's", async (t) => {
  await using machines = await makeMachines();
  const { left, right } = machines;
  await using podOfLeft = await addPod(left, 'pods', '10.244.0.1', '10.244.0.7');
  await using podOfRight = await addPod(right, 'pods', '10.244.1.1', '10.244.1.7');
  for (const [machine, podCIDR, other, via] of [[left, '10.244.0.0/24', '10.244.1.0/24', right.ip], [right, '10.244.1.0/24', '10.244.0.0/24', left.ip]] as const) {
    for (const setting of ['ip_forward', 'conf/all/rp_filter', 'conf/eth0/rp_filter', 'conf/pods/rp_filter']) await machine.run('sysctl', '-qw', `net/ipv4/${setting}=1`);
    await applyNft(tableScript({ table: 'podyard', clusterCIDR: CLUSTER, podCIDR, bridge: 'pods' }, []), { netns: machine.netns });
    await applyNft(emptyTable('ip podyard_proxy'), { netns: machine.netns });
    await machine.run('ip', 'route', 'add', other, 'via', via);
  }
  for (const where of [podOfLeft, podOfRight, right]) await serve(t, where);
  assert.equal(await sourceSeen(podOfLeft, podOfRight), podOfLeft.ip);
  assert.equal(await sourceSeen(podOfRight, podOfLeft), podOfRight.ip);
  assert.equal(await sourceSeen(left, podOfRight), left.ip, 'a node, or a Pod in its network, reaches Pods of the other');
  assert.equal(await sourceSeen(podOfLeft, right), left.ip, 'beyond the Pods the address is masqueraded');
});
