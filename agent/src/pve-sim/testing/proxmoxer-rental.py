"""Rents one machine from the simulator with proxmoxer, a client that is not ours: clone, configure, start, look, stop, destroy.

Reads from its environment: PVE_HOST (host:port), PVE_TOKEN (user@realm!id=secret), PVE_CA (the certificate's file).
Prints what it saw as one line of JSON.
"""
import json
import os
import time

from proxmoxer import ProxmoxAPI
from proxmoxer.core import ResourceException

token_id, secret = os.environ["PVE_TOKEN"].split("=")
user, token_name = token_id.split("!")
api = ProxmoxAPI(
    os.environ["PVE_HOST"], user=user, token_name=token_name, token_value=secret, verify_ssl=os.environ["PVE_CA"]
)
node = api.nodes("pve1")


def wait(upid):
    while True:
        status = node.tasks(upid).status.get()
        if status["status"] == "stopped":
            return status["exitstatus"]
        time.sleep(0.02)


seen = {"version": api.version.get()["release"], "nodes": [each["node"] for each in api.nodes.get()]}
vmid = int(api.cluster.nextid.get())
seen["clone"] = wait(node.qemu(9000).clone.post(newid=vmid, name="by-proxmoxer"))
vm = node.qemu(vmid)
vm.config.put(ciuser="renter", ipconfig0="ip=dhcp", cores=2, tags="dc;python")
seen["config"] = {key: vm.config.get()[key] for key in ("ciuser", "cores", "tags")}
seen["start"] = wait(vm.status.start.post())
while True:
    try:
        seen["interfaces"] = [each["name"] for each in vm.agent("network-get-interfaces").get()["result"]]
        break
    except ResourceException as error:
        seen["before the agent"] = f"{error.status_code} {error.content}"
        time.sleep(0.02)
seen["hostname"] = vm.agent("get-host-name").get()["result"]["host-name"]
seen["stop"] = wait(vm.status.stop.post())
seen["destroy"] = wait(vm.delete())
try:
    vm.status.current.get()
except ResourceException as error:
    seen["after"] = f"{error.status_code} {error.content}"
print(json.dumps(seen))
