#!/usr/bin/python3
"""One XMPP client (Debian's python3-slixmpp), driven by lines of JSON on standard input; it tells what it hears on
standard output, a line of JSON each. Used by the tests of the XMPP bridge.

    client.py ADDRESS PASSWORD PORT      to 127.0.0.1, without TLS: for servers that a test started itself

In:  {"do":"send","to":…,"body":…,"id":…?,"thread":…?} {"do":"presence","type":…?,"show":…?,"to":…?}
     {"do":"displayed","to":…,"id":…} {"do":"state","to":…,"state":"composing"} {"do":"disco","to":…} {"do":"quit"}
     {"do":"raw","xml":…}
Out: {"event":"ready"} {"event":"message",…} {"event":"receipt",…} {"event":"displayed",…} {"event":"error",…}
     {"event":"presence",…} {"event":"disco",…} {"event":"state",…} {"event":"failed",…}
"""
import asyncio
import json
import sys

import slixmpp


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}, ensure_ascii=False), flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self, address, password, receipts):
        super().__init__(address, password)
        for name in ("xep_0030", "xep_0199", "xep_0085", "xep_0184", "xep_0333", "xep_0280", "xep_0203"):
            self.register_plugin(name)
        self["xep_0184"].auto_ack = receipts
        self["xep_0184"].auto_request = True
        self["feature_mechanisms"].unencrypted_plain = True
        self["feature_mechanisms"].unencrypted_scram = True
        self.auto_authorize = self.auto_subscribe = None
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("message", self.message)
        self.add_event_handler("message_error", self.error)
        self.add_event_handler("receipt_received", lambda m: tell("receipt", id=m["receipt"], **way(m)))
        self.add_event_handler("marker_displayed", lambda m: tell("displayed", id=m["displayed"]["id"], **way(m)))
        self.add_event_handler("failed_auth", lambda _: tell("failed"))
        for kind in ("subscribe", "subscribed", "unsubscribed", "unsubscribe", "available", "unavailable", "away", "dnd"):
            self.add_event_handler(f"presence_{kind}", self.presence)
        for state in ("active", "composing", "paused"):
            self.add_event_handler(f"chatstate_{state}", lambda m, s=state: tell("state", state=s, **way(m)))

    async def begin(self, _):
        await self.get_roster()
        self.send_presence()
        tell("ready", address=self.boundjid.full)
        asyncio.ensure_future(self.commands())

    def message(self, message):
        if message["type"] != "error" and message["body"]:
            tell("message", id=message["id"], body=message["body"], thread=message["thread"],
                 delayed=message.xml.find("{urn:xmpp:delay}delay") is not None, **way(message))

    def error(self, message):
        tell("error", id=message["id"], condition=condition(message), **way(message))

    def presence(self, presence):
        if presence["type"] == "subscribe":
            self.send_presence(pto=presence["from"].bare, ptype="subscribed")
        tell("presence", type=presence["type"], show=presence["show"], status=presence["status"], **way(presence))

    async def commands(self):
        reader = asyncio.StreamReader(limit=1 << 20)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            order = json.loads(line)
            what = order.pop("do")
            if what == "send":
                message = self.make_message(order["to"], order["body"], mtype="chat")
                message["id"] = order.get("id") or self.new_id()
                message["request_receipt"] = True
                message.enable("markable")
                if "thread" in order:
                    message["thread"] = order["thread"]
                message.send()
            elif what == "presence":
                self.send_presence(pto=order.get("to"), ptype=order.get("type"), pshow=order.get("show"))
            elif what == "displayed":
                self["xep_0333"].send_marker(order["to"], order["id"], "displayed")
            elif what == "state":
                message = self.make_message(order["to"], mtype="chat")
                message["chat_state"] = order["state"]
                message.send()
            elif what == "disco":
                try:
                    answer = await self["xep_0030"].get_items(jid=order["to"], timeout=10)
                    tell("disco", items=sorted(str(item[0]) for item in answer["disco_items"]["items"]))
                except slixmpp.exceptions.IqError as error:
                    tell("disco", condition=condition(error.iq))
            elif what == "raw":
                self.send_raw(order["xml"])
            elif what == "quit":
                break
        self.disconnect()


def condition(stanza):
    """As it stands there: the library knows those of an older RFC only."""
    space = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
    names = [child.tag.removeprefix(space) for child in stanza["error"].xml if child.tag.startswith(space)]
    return next((name for name in names if name != "text"), "")


def way(stanza):
    return {"from": stanza["from"].bare, "to": stanza["to"].bare}


if __name__ == "__main__":
    client = Client(sys.argv[1], sys.argv[2], receipts="no-receipts" not in sys.argv[4:])
    client.connect(("127.0.0.1", int(sys.argv[3])), use_ssl=False, force_starttls=False, disable_starttls=True)
    client.process(forever=False)
