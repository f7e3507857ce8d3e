#!/usr/bin/python3
"""A desktop's notification service for tests (org.freedesktop.Notifications 1.2), on the session bus that
DBUS_SESSION_BUS_ADDRESS names. Writes a line of JSON for everything that programs ask for; reads lines of JSON that
say what a person does: {"click": ID, "action": "default"}, {"sweep": ID}, {"reply": ID, "text": …}.
Needs Debian's python3-dbus and python3-gi."""
import json
import os
import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

NAME = "org.freedesktop.Notifications"
BY_PERSON, BY_PROGRAM = 2, 3


def say(**event):
    print(json.dumps(event), flush=True)


class Notices(dbus.service.Object):
    def __init__(self, bus):
        self.name = dbus.service.BusName(NAME, bus, do_not_queue=True)
        super().__init__(bus, "/org/freedesktop/Notifications")
        self.last = 0
        self.open = set()

    @dbus.service.method(NAME, in_signature="", out_signature="as")
    def GetCapabilities(self):
        return ["actions", "body", "icon-static", "persistence", "inline-reply"]

    @dbus.service.method(NAME, in_signature="", out_signature="ssss")
    def GetServerInformation(self):
        return "farbell-tests", "Farbell", "1", "1.2"

    @dbus.service.method(NAME, in_signature="susssasa{sv}i", out_signature="u")
    def Notify(self, program, replaces, icon, summary, body, actions, hints, expires):
        number = int(replaces)
        if number not in self.open:
            self.last += 1
            number = self.last
        self.open.add(number)
        say(event="shown", id=number, replaces=int(replaces), program=str(program), title=str(summary),
            body=str(body), actions=dict(zip(map(str, actions[::2]), map(str, actions[1::2]))))
        return dbus.UInt32(number)

    @dbus.service.method(NAME, in_signature="u", out_signature="")
    def CloseNotification(self, number):
        self.end(int(number), BY_PROGRAM)

    def end(self, number, reason):
        if number in self.open:
            self.open.remove(number)
            self.NotificationClosed(dbus.UInt32(number), dbus.UInt32(reason))
            say(event="closed", id=number, byProgram=reason == BY_PROGRAM)

    @dbus.service.signal(NAME, signature="uu")
    def NotificationClosed(self, number, reason):
        pass

    @dbus.service.signal(NAME, signature="us")
    def ActionInvoked(self, number, action):
        pass

    @dbus.service.signal(NAME, signature="us")
    def NotificationReplied(self, number, text):
        pass

    def do(self, order):
        if "click" in order:
            self.ActionInvoked(dbus.UInt32(order["click"]), order["action"])
            # As desktops do: a notification that was clicked goes away.
            self.end(order["click"], BY_PERSON)
        elif "reply" in order:
            self.NotificationReplied(dbus.UInt32(order["reply"]), order["text"])
            self.end(order["reply"], BY_PERSON)
        elif "sweep" in order:
            self.end(order["sweep"], BY_PERSON)


def main():
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    notices = Notices(dbus.SessionBus())
    loop = GLib.MainLoop()

    rest = b""

    def read(*_):
        nonlocal rest
        data = os.read(sys.stdin.fileno(), 65536)
        if not data:
            loop.quit()
            return False
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            notices.do(json.loads(line))
        return True

    GLib.io_add_watch(GLib.IOChannel.unix_new(sys.stdin.fileno()), GLib.PRIORITY_DEFAULT,
                      GLib.IOCondition.IN | GLib.IOCondition.HUP, read)
    say(event="ready")
    loop.run()


main()
