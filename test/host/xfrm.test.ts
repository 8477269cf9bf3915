import { expect, test } from '@jest/globals';
import type { CommandRunner } from '../../src/host/command.ts';
import { observeKernelIpsec, parseKernelPolicies, parseKernelSas, removeKernelIpsec } from '../../src/host/xfrm.ts';

const SAS = `src 198.18.0.1 dst 198.18.0.2
	proto esp spi 0xc0f2a1b3 reqid 1 mode tunnel
	replay-window 0 flag af-unspec
	encap type espinudp sport 4500 dport 4500 addr 0.0.0.0
	if_id 0x53756200
src 198.18.0.2 dst 198.18.0.1
	proto esp spi 0x00a21b33 reqid 1 mode tunnel
	if_id 0x53756201
src 192.0.2.1 dst 192.0.2.2
	proto esp spi 0x1 reqid 9 mode transport
src 192.0.2.1 dst 192.0.2.2
	proto ah spi 0x2 reqid 9 mode transport
`;

const POLICIES = `src 10.244.0.0/16 dst 10.245.0.0/16
	dir out priority 379519
	tmpl src 198.18.0.1 dst 198.18.0.2
		proto esp spi 0xc0f2a1b3 reqid 1 mode tunnel
	if_id 0x53756200
src 10.245.0.0/16 dst 10.244.0.0/16
	dir fwd priority 379519
	tmpl src 198.18.0.2 dst 198.18.0.1
		proto esp reqid 1 mode tunnel
src 0.0.0.0/0 dst 0.0.0.0/0
	socket in priority 0
`;

test('SAs and policies are told apart by their interface id', () => {
  expect(parseKernelSas(SAS)).toEqual([
    { source: '198.18.0.1', destination: '198.18.0.2', spi: '0xc0f2a1b3', ifId: 0x53756200 },
    { source: '198.18.0.2', destination: '198.18.0.1', spi: '0x00a21b33', ifId: 0x53756201 },
    { source: '192.0.2.1', destination: '192.0.2.2', spi: '0x1', ifId: 0 },
  ]);
  expect(parseKernelPolicies(POLICIES)).toEqual([
    { source: '10.244.0.0/16', destination: '10.245.0.0/16', direction: 'out', ifId: 0x53756200 },
    { source: '10.245.0.0/16', destination: '10.244.0.0/16', direction: 'fwd', ifId: 0 },
  ]);
});

test('only what has the interface id is removed, and keys are never asked for', async () => {
  const runs: string[] = [];
  const runner: CommandRunner = {
    run: async (file, args) => {
      runs.push([file, ...args].join(' '));
      const stdout = args.includes('list') ? (args[1] === 'state' ? SAS : POLICIES) : '';
      return { exitCode: 0, stdout, stderr: '' };
    },
  };
  await removeKernelIpsec(runner, await observeKernelIpsec(runner, 0x53756200));
  expect(runs).toEqual([
    'ip xfrm state list nokeys',
    'ip xfrm policy list',
    'ip xfrm policy delete src 10.244.0.0/16 dst 10.245.0.0/16 dir out if_id 1400201728',
    'ip xfrm state delete src 198.18.0.1 dst 198.18.0.2 proto esp spi 0xc0f2a1b3',
  ]);
});
