"""The native TigerBeetle client as a test plays it: packets complete when and how the test says."""

import ctypes
import threading
from collections.abc import Callable
from typing import Any

from tigerbeetle.bindings import ClientStatus, CPacket, InitStatus, PacketStatus

from tigerfans.ledger.wire import RESULT_SIZE, TRANSFER_SIZE


class PlayedNative:
    """Stands in for `tb_client_init`, `tb_client_submit` and `tb_client_deinit`.

    While `answering`, it completes each packet at once, as a server with the batch limit
    `records_max` does that refuses every transfer. Otherwise packets wait in `packets`.
    """

    def __init__(self, records_max: int = 8189) -> None:
        self.records_max = records_max
        self.answering = True
        self.refusal: PacketStatus | None = None
        self.clients_started = 0
        self.clients_closed = 0
        self.packets: list[CPacket] = []
        self._on_completion: Callable[..., None] | None = None

    def init(self, *arguments: Any) -> InitStatus:
        self.clients_started += 1
        self._on_completion = arguments[-1]
        return InitStatus.SUCCESS

    def submit(self, _native: Any, packet_reference: Any) -> ClientStatus:
        packet = packet_reference._obj
        self.packets.append(packet)
        if self.answering:
            self._answer(packet)
        return ClientStatus.OK

    def deinit(self, _native: Any) -> ClientStatus:
        self.clients_closed += 1
        for packet in [*self.packets]:
            self.complete(packet, PacketStatus.CLIENT_SHUTDOWN)
        return ClientStatus.OK

    def complete(
        self, packet: CPacket, status: PacketStatus = PacketStatus.OK, reply: bytes = b""
    ) -> None:
        """Completes a packet on a thread of its own, as the native client does."""
        self.packets.remove(packet)
        packet.status = status
        data = ctypes.create_string_buffer(reply)
        arguments = (None, ctypes.pointer(packet), 0, ctypes.addressof(data), len(reply))
        thread = threading.Thread(target=self._on_completion, args=arguments)
        thread.start()
        thread.join()

    def _answer(self, packet: CPacket) -> None:
        records = packet.data_size // TRANSFER_SIZE
        if self.refusal is not None:
            self.complete(packet, self.refusal)
        elif records > self.records_max:
            self.complete(packet, PacketStatus.TOO_MUCH_DATA)
        else:
            self.complete(packet, reply=bytes(records * RESULT_SIZE))
