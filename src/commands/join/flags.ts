import { type Command, Option } from 'commander';
import { TUNNEL_PORT } from '../../api/names.ts';
import { booleanFlag } from '../command.ts';
import { durationFlag, integerFlag, listFlag } from '../globalflags.ts';
import { LEASE_DEFAULTS } from './record.ts';

/** Adds the flags of join; their defaults are those of a cluster that joins for the first time. */
export function addJoinFlags(command: Command): void {
  identityFlags(command);
  tunnelFlags(command);
  healthFlags(command);
  leaseFlags(command);
  deploymentFlags(command);
  laterFlags(command);
}

function identityFlags(command: Command): void {
  command.optionsGroup('Cluster:');
  command
    .option('--clusterid <id>', "ID of the cluster (default: the cluster's name in the kubeconfig)")
    .option('--clustercidr <cidrs>', 'pod CIDRs, comma-separated (default: discovered)')
    .option('--servicecidr <cidrs>', 'Service CIDRs, comma-separated (default: discovered)')
    .option('--gateway-nodes <names>', 'nodes that become gateways, comma-separated', listFlag)
    .option('--gateways <number>', 'number of gateways; workers are chosen by name', integerFlag(1, 100));
  booleanFlag(command, 'label-gateway', 'label a node when no gateway is labelled', true);
}

function tunnelFlags(command: Command): void {
  command.optionsGroup('Tunnels:');
  command
    .option('--cable-driver <name>', 'ipsec (also called libreswan), wireguard or vxlan', 'libreswan')
    .addOption(
      new Option(
        '--cable-driver-change <when>',
        'another driver: together with the clusters it is connected to, or now',
      )
        .choices(['together', 'now'])
        .default('together'),
    )
    .option(
      '--interface <link>',
      'link of gateway nodes whose address the tunnels use (default: the one routed to the others)',
    )
    .option('--public-ip <address>', 'public address of the gateways, or dns:NAME, lb:SERVICE')
    .option('--nattport <port>', 'UDP port of the tunnels', integerFlag(1, 65535), TUNNEL_PORT);
  booleanFlag(command, 'natt', 'expect NAT when discovery gives no answer', true);
  booleanFlag(command, 'preferred-server', 'wait for the other side to open the tunnel', false);
  booleanFlag(command, 'force-udp-encaps', 'wrap ESP in UDP also without NAT (always so)', false);
  booleanFlag(command, 'air-gapped', 'never look up public addresses', false);
  booleanFlag(command, 'ipsec-debug', 'verbose IPsec daemon', false);
}

function healthFlags(command: Command): void {
  command.optionsGroup('Health check:');
  booleanFlag(command, 'health-check', 'probe every tunnel', true);
  command
    .option('--health-check-interval <seconds>', 'time between probes', integerFlag(1, 3600), 1)
    .option(
      '--health-check-max-packet-loss-count <n>',
      'lost probes that make a tunnel an error',
      integerFlag(1, 1000),
      5,
    );
}

function leaseFlags(command: Command): void {
  command.optionsGroup('Election of the active gateway (seconds, each longer than the next):');
  const { gatewayLeaseDuration, gatewayRenewDeadline, gatewayRetryPeriod } = LEASE_DEFAULTS;
  command
    .option('--gateway-lease-duration <s>', 'a silent gateway is replaced', integerFlag(1, 300), gatewayLeaseDuration)
    .option('--gateway-renew-deadline <s>', 'it stops by itself', integerFlag(1, 300), gatewayRenewDeadline)
    .option('--gateway-retry-period <s>', 'time between renewals', integerFlag(1, 300), gatewayRetryPeriod)
    .option(
      '--gateway-probe-interval <ms>',
      'milliseconds between the probes of gateways among each other; five lost ones in a row are a failure',
      integerFlag(20, 10_000),
      LEASE_DEFAULTS.gatewayProbeInterval,
    );
}

function deploymentFlags(command: Command): void {
  command.optionsGroup('Deployment:');
  command
    .option('--repository <name>', 'repository of the images (default: localhost/subctl, images loaded into the nodes)')
    .option('--version <tag>', 'tag of the images (default: the version of subctl)')
    .option('--image-override <component=image>', 'image of one component; may be given several times', listFlag)
    .option('--broker-url <url>', 'address of the broker, instead of the one in the file')
    .option(
      '--broker-token-expiry <duration>',
      'life of the credential at the broker, which the gateways renew after half of it (default: 24h)',
      durationFlag,
    )
    .option('--http-proxy <url>', 'HTTP_PROXY of the pods')
    .option('--https-proxy <url>', 'HTTPS_PROXY of the pods')
    .option('--no-proxy <list>', 'NO_PROXY of the pods');
  booleanFlag(command, 'check-broker-certificate', "check the broker's certificate", true);
  booleanFlag(command, 'ignore-requirements', 'skip the check of the Kubernetes version', false);
  booleanFlag(command, 'pod-debug', 'verbose pods', false);
  booleanFlag(command, 'dry-run', 'print the manifests and change nothing on either side', false);
  command.option(
    '--include <parts>',
    'with --dry-run, print also what does not belong into Git: secrets (claims the ID on the broker), nodes, or all',
    listFlag,
  );
  booleanFlag(command, 'helm-values', 'with --dry-run, print values for the Helm chart instead', false);
}

/** Flags of upstream for parts that this version does not deploy; they are recorded in the Submariner object. */
function laterFlags(command: Command): void {
  command.optionsGroup('Accepted and recorded, but WITHOUT EFFECT in this version:');
  command
    .option('--globalnet-cidr <cidr>', 'global CIDR of the cluster')
    .option('--globalnet-cluster-size <count>', 'global addresses of the cluster', integerFlag(0, 2 ** 31))
    .option('--custom-domains <domains>', 'DNS domains besides clusterset.local', listFlag)
    .option('--coredns-custom-configmap <name>', 'ConfigMap of CoreDNS to extend, [namespace/]name')
    .option('--clusterset-ip-cidr <cidr>', 'range of clusterset IPs of the cluster');
  booleanFlag(command, 'globalnet', 'use global addresses when the broker has them', true);
  booleanFlag(command, 'load-balancer', 'a LoadBalancer Service in front of the gateways', false);
  booleanFlag(command, 'enable-clusterset-ip', 'give exported Services a clusterset IP', false);
  booleanFlag(command, 'operator-debug', 'there is no operator', false);
}
