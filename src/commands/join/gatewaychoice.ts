import type { Node } from '../../kube/objects.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { planGatewayNodes } from './gatewaynodes.ts';
import type { JoinOptions } from './options.ts';

/** Gateway nodes after join, and those that have to be labelled for it. */
export interface ChosenGateways {
  readonly label: readonly string[];
  /** Gateways now that are not named: their label is to go once the others can carry the traffic. */
  readonly unlabel: readonly string[];
  readonly gatewayNodes: readonly string[];
}

/** Decides about gateway nodes, asking on a terminal when several could be one. */
export async function chooseGateways(
  run: CommandRun,
  nodes: readonly Node[],
  options: JoinOptions,
): Promise<ChosenGateways> {
  const plan = planGatewayNodes(nodes, {
    named: options.gatewayNodes ?? [],
    count: options.gateways,
    mayLabel: options.labelGateway,
  });
  if (plan.kind === 'ask') {
    const label = await ask(run, plan.candidates);
    return { label, unlabel: [], gatewayNodes: label };
  }
  const unlabel = plan.already.filter((name) => options.gatewayNodes?.includes(name) === false);
  const gatewayNodes = [...new Set([...plan.already, ...plan.label])].filter((name) => !unlabel.includes(name)).sort();
  if (gatewayNodes.length === 0) {
    run.reporter.warn(
      'no node is a gateway, so the cluster will not be connected: label one with submariner.io/gateway=true',
    );
  }
  return { label: plan.label, unlabel, gatewayNodes };
}

async function ask(run: CommandRun, candidates: readonly string[]): Promise<readonly string[]> {
  if (run.flags.yes) return candidates.slice(0, 1);
  const { terminal, prompter } = run.context;
  if (terminal.interactive) return prompter.choose('Which nodes shall be gateways?', candidates);
  throw new ExpectedError(`several nodes could be the gateway: ${candidates.join(', ')}`, {
    hint: 'Choose with --gateway-nodes NAME, or let join choose with --gateways 1. Nothing was changed.',
  });
}
