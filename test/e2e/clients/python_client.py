"""The official Python client (Debian's python3-kubernetes), unmodified. Run by python.test.ts, with KUBECONFIG and NAMESPACE set."""
import json
import logging
import os
import threading
import unittest

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock
from kubernetes.stream import portforward, stream
from kubernetes.utils.create_from_yaml import FailToCreateError

NAMESPACE = os.environ["NAMESPACE"]
IMAGE = "busybox:1.37"


def config_map(name, data=None, labels=None):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels=labels), data=data or {})


def deployment(name, replicas=1):
    labels = {"app": name}
    container = client.V1Container(name="c", image=IMAGE, command=["sleep", "3600"])
    pod = client.V1PodSpec(containers=[container], termination_grace_period_seconds=0)
    template = client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels=labels), spec=pod)
    spec = client.V1DeploymentSpec(replicas=replicas, selector=client.V1LabelSelector(match_labels=labels), template=template)
    return client.V1Deployment(metadata=client.V1ObjectMeta(name=name), spec=spec)


class Typed(unittest.TestCase):
    def setUp(self):
        self.core = client.CoreV1Api()
        self.apps = client.AppsV1Api()

    def test_creates_reads_lists_in_pages_replaces_and_deletes(self):
        for name in ("a", "b", "c"):
            self.core.create_namespaced_config_map(NAMESPACE, config_map(f"crud-{name}", {"n": name}, {"of": "crud"}))
        first = self.core.list_namespaced_config_map(NAMESPACE, label_selector="of=crud", limit=2)
        rest = self.core.list_namespaced_config_map(NAMESPACE, label_selector="of=crud", limit=2, _continue=first.metadata._continue)
        self.assertEqual([c.metadata.name for c in first.items + rest.items], ["crud-a", "crud-b", "crud-c"])
        self.assertEqual(first.metadata.remaining_item_count, None)
        held = first.items[0]
        held.data = {"n": "z"}
        self.assertEqual(self.core.replace_namespaced_config_map("crud-a", NAMESPACE, held).data, {"n": "z"})
        with self.assertRaises(ApiException) as conflict:
            self.core.replace_namespaced_config_map("crud-a", NAMESPACE, held)
        self.assertEqual((conflict.exception.status, conflict.exception.reason), (409, "Conflict"))
        self.assertEqual(self.core.delete_namespaced_config_map("crud-a", NAMESPACE).status, "Success")
        self.core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="of=crud")
        self.assertEqual(self.core.list_namespaced_config_map(NAMESPACE, label_selector="of=crud").items, [])
        with self.assertRaises(ApiException) as invalid:
            self.core.create_namespaced_config_map(NAMESPACE, config_map("Not_A_Name"))
        self.assertEqual(invalid.exception.status, 422)

    def test_patches_in_every_way(self):
        self.core.create_namespaced_config_map(NAMESPACE, config_map("patched", {"a": "1"}))
        patch = self.core.patch_namespaced_config_map
        self.assertEqual(patch("patched", NAMESPACE, [{"op": "add", "path": "/data/b", "value": "2"}]).data, {"a": "1", "b": "2"})
        self.assertEqual(patch("patched", NAMESPACE, {"data": {"a": None, "c": "3"}}).data, {"b": "2", "c": "3"})
        self.apps.create_namespaced_deployment(NAMESPACE, deployment("patched", 0))
        body = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": IMAGE}]}}}}
        merged = self.apps.patch_namespaced_deployment("patched", NAMESPACE, body)
        self.assertEqual([c.name for c in merged.spec.template.spec.containers], ["side", "c"], "a strategic merge, by name")
        scaled = self.apps.patch_namespaced_deployment_scale("patched", NAMESPACE, {"spec": {"replicas": 0}})
        self.assertEqual((scaled.kind, scaled.spec.replicas or 0), ("Scale", 0))

    def test_watches_and_resumes(self):
        begin = self.core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
        self.core.create_namespaced_config_map(NAMESPACE, config_map("watched", labels={"of": "watch"}))
        self.core.patch_namespaced_config_map("watched", NAMESPACE, {"data": {"x": "y"}})
        self.core.delete_namespaced_config_map("watched", NAMESPACE)
        seen = []
        watcher = watch.Watch()
        for event in watcher.stream(self.core.list_namespaced_config_map, NAMESPACE, label_selector="of=watch", resource_version=begin, timeout_seconds=20):
            seen.append((event["type"], event["object"].metadata.name))
            if len(seen) == 3:
                watcher.stop()
        self.assertEqual(seen, [("ADDED", "watched"), ("MODIFIED", "watched"), ("DELETED", "watched")])

    def test_asks_who_may_do_what_and_makes_tokens(self):
        self.core.create_namespaced_service_account(NAMESPACE, client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="robot")))
        request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=3600))
        issued = self.core.create_namespaced_service_account_token("robot", NAMESPACE, request)
        review = client.AuthenticationV1Api().create_token_review(client.V1TokenReview(spec=client.V1TokenReviewSpec(token=issued.status.token)))
        self.assertEqual(review.status.user.username, f"system:serviceaccount:{NAMESPACE}:robot")
        attributes = client.V1ResourceAttributes(namespace=NAMESPACE, verb="get", resource="pods")
        access = client.V1SubjectAccessReview(spec=client.V1SubjectAccessReviewSpec(user=review.status.user.username, resource_attributes=attributes))
        self.assertFalse(client.AuthorizationV1Api().create_subject_access_review(access).status.allowed)

    def test_creates_from_yaml_and_tells_what_is_wrong(self):
        good = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "from-yaml"}, "stringData": {"k": "v"}}
        made = utils.create_from_dict(client.ApiClient(), good, namespace=NAMESPACE)
        self.assertEqual(made[0].data, {"k": "dg=="})
        with self.assertRaises(FailToCreateError) as again:
            utils.create_from_dict(client.ApiClient(), good, namespace=NAMESPACE)
        self.assertIn("AlreadyExists", str(again.exception))

    def test_elects_one_leader_at_a_time(self):
        led = []

        def lead(name):
            never = lambda: None
            lock = ConfigMapLock("leader", NAMESPACE, name)
            candidate = electionconfig.Config(lock, lease_duration=1.5, renew_deadline=1.3, retry_period=1, onstarted_leading=never, onstopped_leading=never)
            leaderelection.LeaderElection(candidate).acquire()
            led.append(name)

        threads = [threading.Thread(target=lead, args=(name,), daemon=True) for name in ("one", "two")]
        threads[0].start()
        threads[0].join(20)
        threads[1].start()
        self.assertEqual(led, ["one"], "the other waits for the lease to end")
        threads[1].join(20)
        self.assertEqual(led, ["one", "two"])


class Dynamic(unittest.TestCase):
    def setUp(self):
        self.client = dynamic.DynamicClient(client.ApiClient())

    def test_finds_kinds_and_applies_on_the_servers_side(self):
        maps = self.client.resources.get(api_version="v1", kind="ConfigMap")
        self.assertEqual((maps.name, maps.namespaced), ("configmaps", True))

        def apply(manager, data, **options):
            # As text: this release of the client cannot put objects into a body of that type.
            body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": data})
            return maps.server_side_apply(body=body, name="applied", namespace=NAMESPACE, field_manager=manager, **options)

        self.assertEqual([m.manager for m in apply("first", {"a": "1"}).metadata.managedFields], ["first"])
        with self.assertRaises(dynamic.exceptions.ConflictError) as conflict:
            apply("second", {"a": "2"})
        self.assertIn("conflict with \\\"first\\\": .data.a", conflict.exception.body.decode())
        self.assertEqual(apply("second", {"a": "2"}, force_conflicts=True).data.a, "2")

    def test_defines_a_kind_and_uses_it(self):
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 1, "maximum": 5}}}, "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}}}}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}
        names = {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"}
        definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "gadgets.python.example.com"}, "spec": {"group": "python.example.com", "scope": "Namespaced", "names": names, "versions": [version]}}
        definitions = self.client.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
        definitions.create(body=definition)
        for event in definitions.watch(field_selector="metadata.name=gadgets.python.example.com", timeout=20):
            if any(c.type == "Established" and c.status == "True" for c in event["object"].status.conditions or []):
                break
        self.client.resources.invalidate_cache()
        gadgets = self.client.resources.get(api_version="python.example.com/v1", kind="Gadget")
        made = gadgets.create(body={"apiVersion": "python.example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {}, "status": {"ready": True}}, namespace=NAMESPACE)
        self.assertEqual((made.spec.size, made.status), (1, None))
        told = gadgets.status.patch(body={"status": {"ready": True}}, name="g", namespace=NAMESPACE, content_type="application/merge-patch+json")
        self.assertTrue(told.status.ready)
        with self.assertRaises(dynamic.exceptions.UnprocessibleEntityError):
            gadgets.patch(body={"spec": {"size": 9}}, name="g", namespace=NAMESPACE, content_type="application/merge-patch+json")
        found = client.CustomObjectsApi().list_namespaced_custom_object("python.example.com", "v1", NAMESPACE, "gadgets")
        self.assertEqual([g["metadata"]["name"] for g in found["items"]], ["g"])
        gadgets.delete(name="g", namespace=NAMESPACE)
        with self.assertRaises(dynamic.exceptions.NotFoundError):
            gadgets.get(name="g", namespace=NAMESPACE)


class Streams(unittest.TestCase):
    """On a real container."""

    @classmethod
    def setUpClass(cls):
        cls.core = client.CoreV1Api()
        command = ["sh", "-c", "mkdir /www; echo a page > /www/index.html; httpd -p 8080 -h /www; echo first; echo second; exec sleep 3600"]
        container = client.V1Container(name="c", image=IMAGE, command=command)
        pod = client.V1Pod(metadata=client.V1ObjectMeta(name="streams"), spec=client.V1PodSpec(containers=[container], termination_grace_period_seconds=0))
        cls.core.create_namespaced_pod(NAMESPACE, pod)
        watcher = watch.Watch()
        for event in watcher.stream(cls.core.list_namespaced_pod, NAMESPACE, field_selector="metadata.name=streams", timeout_seconds=40):
            if any(c.type == "Ready" and c.status == "True" for c in event["object"].status.conditions or []):
                watcher.stop()

    def exec(self, command, **options):
        return stream(self.core.connect_get_namespaced_pod_exec, "streams", NAMESPACE, command=command, stderr=True, stdout=True, tty=False, **{"stdin": False, **options})

    def test_executes(self):
        self.assertEqual(sorted(self.exec(["sh", "-c", "echo out; echo err >&2"]).splitlines()), ["err", "out"])
        shell = self.exec(["sh"], stdin=True, _preload_content=False)
        shell.write_stdin("echo here I am\n")
        self.assertEqual(shell.readline_stdout(timeout=10), "here I am")
        shell.write_stdin("echo aside >&2; exit 7\n")
        self.assertEqual(shell.readline_stderr(timeout=10), "aside")
        shell.run_forever(timeout=10)
        self.assertEqual(shell.returncode, 7)

    def test_reads_logs_and_follows_them(self):
        self.assertEqual(self.core.read_namespaced_pod_log("streams", NAMESPACE, tail_lines=1), "second\n")
        watcher = watch.Watch()
        lines = []
        for line in watcher.stream(self.core.read_namespaced_pod_log, "streams", NAMESPACE):
            lines.append(line)
            if len(lines) == 2:
                self.exec(["sh", "-c", "echo third > /proc/1/fd/1"])
            if line == "third":
                watcher.stop()
        self.assertEqual(lines, ["first", "second", "third"])

    def test_forwards_a_port(self):
        forward = portforward(self.core.connect_get_namespaced_pod_portforward, "streams", NAMESPACE, ports="8080")
        socket = forward.socket(8080)
        socket.setblocking(True)
        socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while chunk := socket.recv(1024):
            answer += chunk
        self.assertTrue(answer.endswith(b"a page\n"), answer)
        self.assertIsNone(forward.error(8080))


if __name__ == "__main__":
    logging.disable()
    config.load_kube_config()
    unittest.main(verbosity=2, buffer=True, warnings="ignore")
