import { expect, test } from '@jest/globals';
import { addressProblem } from '../../../src/sandbox/fabric/renumber.ts';
import { clusterOf, nodeOf, planSandbox } from '../../../src/sandbox/plan.ts';

const east = clusterOf(planSandbox({ name: 'demo', clusters: ['east'], nodes: 2, gateways: 1 }), 'east');
const node = nodeOf(east, 'east-2');

test.each([
  ['172.31.0.77', undefined],
  [node.address, undefined],
  ['172.31.0.11', 'is the address of east-1'],
  ['172.31.0.1', 'is the address of the router'],
  ['172.31.0.2', 'is the address of the control plane'],
  ['172.31.0.0', 'is no address of the LAN 172.31.0.0/24'],
  ['172.31.0.255', 'is no address of the LAN'],
  ['172.31.1.7', 'is no address of the LAN'],
  ['fd00::1', 'is no address of the LAN'],
  ['172.31.0.077', 'is not an address'],
  ['soon', 'is not an address such as 172.31.0.12'],
])('a node can have the address %s: %s', (address, problem) => {
  if (problem === undefined) expect(addressProblem(east, node, address)).toBeUndefined();
  else expect(addressProblem(east, node, address)).toContain(problem);
});
