"""The door between thinc and torch: safetensors instead of pickle, autocast on any device."""

import contextlib
import os
from typing import Any, Callable, Dict, Iterator, Mapping

import srsly
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from thinc.api import Optimizer, PyTorchShim, get_torch_default_device
from thinc.shims import Shim
from thinc.util import xp2torch

# OpenMP's thread pool does not survive a fork: without this, a worker of nlp.pipe(n_process=2)
# waits for ever when the parent has computed before. One thread a worker is right there anyway.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))

SAVE_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def autocast_dtype(device: torch.device) -> torch.dtype:
    """Choose the half-precision type that a device computes natively.

    device (torch.device): Where the network runs.
    RETURNS (torch.dtype): bfloat16, float16 (GPUs before Ampere) or float32 (no native support,
        or none that pays).
    """
    if device.type == "cuda":
        # Not is_bf16_supported(): it counts emulation, which is slower than float32.
        ampere = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if ampere else torch.float16
    # Not AVX512-BF16: without tiles, autocast trained a third slower. Reading packs its weights
    # and has a choice of its own, see `reading.cpu_precision`.
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return torch.bfloat16 if amx else torch.float32


def dump_state(module: torch.nn.Module, dtype: str) -> bytes:
    """Write the parameters and buffers of a network, cast, without touching the network.

    module (torch.nn.Module): The network.
    dtype (str): `float32`, `float16` or `bfloat16`.
    RETURNS (bytes): A safetensors file.
    RAISES (ValueError): A weight does not fit the type.
    """
    target = SAVE_DTYPES[dtype]
    state = {
        name: (value.detach().to("cpu", target) if value.is_floating_point() else value.cpu())
        .clone()
        .contiguous()
        for name, value in module.state_dict().items()
    }
    for name, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"The weight '{name}' is not finite in {dtype}: save as float32.")
    return save_safetensors(state)


def load_state(module: torch.nn.Module, data: bytes) -> None:
    """Read what `dump_state` wrote into a network of the same shape, as float32.

    module (torch.nn.Module): The network, changed in place.
    data (bytes): A safetensors file.
    """
    state = {
        name: value.float() if value.is_floating_point() else value
        for name, value in load_safetensors(data).items()
    }
    module.load_state_dict(state)


class TorchShim(PyTorchShim):
    """A torch module in a thinc model.

    Differs from `PyTorchShim`: weights travel as safetensors (no pickle is read on loading),
    autocast follows the device, and `use_params` finds the optimizer's averages.

    save_dtype (str): Type of the floating-point weights on disk. In memory they stay float32.
    """

    save_dtype: str = "float32"
    autocast: str = "none"  # "none", "auto", "bfloat16"
    lr_scale: float = 1.0  # this network's learning rate over the optimizer's

    @property
    def device(self) -> torch.device:
        """Where the network is, or will be. RETURNS (torch.device): The device."""
        return super().device if self._model is not None else get_torch_default_device()

    def finish_update(self, optimizer: Optimizer) -> None:
        """Take the optimizer's step at `lr_scale` times its learning rate; clear the gradients."""
        rate = optimizer.learn_rate
        optimizer.learn_rate = rate * self.lr_scale
        try:
            super().finish_update(optimizer)
        finally:
            optimizer.learn_rate = rate

    @contextlib.contextmanager
    def precision(self, training: bool = False) -> Iterator[None]:
        """Run a block under the configured autocast.

        training (bool): float16 has no loss scaling here, so training falls back to float32 on
            GPUs without bfloat16.
        """
        dtype = autocast_dtype(self.device) if self.autocast == "auto" else torch.bfloat16
        if training and dtype == torch.float16:
            dtype = torch.float32
        enabled = self.autocast != "none" and dtype != torch.float32
        cast = torch.bfloat16 if dtype == torch.float32 else dtype
        with torch.autocast(self.device.type, dtype=cast, enabled=enabled):
            yield

    @contextlib.contextmanager
    def use_params(self, params: Mapping[Any, Any]) -> Iterator[None]:
        """Swap in averaged weights for the length of a block.

        params (Mapping): The optimizer's averages, keyed by (shim id, parameter name).
        """
        named = dict(self._model.named_parameters()) if self._model is not None else {}
        found = {name: params[(self.id, name)] for name in named if (self.id, name) in params}
        backup = {name: named[name].data for name in found}
        for name, value in found.items():
            named[name].data = xp2torch(value, device=self.device)
        try:
            yield
        finally:
            for name, value in backup.items():
                named[name].data = value

    def copy(self) -> "TorchShim":
        """Copy the network under an id of its own, so that optimizers keep the two apart."""
        copied: TorchShim = super().copy()
        with Shim.global_id_lock:
            Shim.global_id += 1
            copied.id = Shim.global_id
        return copied

    def to_bytes(self) -> bytes:
        """Serialise settings and weights. RETURNS (bytes): msgpack around safetensors."""
        return srsly.msgpack_dumps(self._to_message())

    def from_bytes(self, bytes_data: bytes) -> "TorchShim":
        """Restore what `to_bytes` wrote. RETURNS (TorchShim): The same shim."""
        self._from_message(srsly.msgpack_loads(bytes_data))
        if self._model is not None:
            self._model.to(get_torch_default_device())
        return self

    def _to_message(self) -> Dict[str, Any]:
        state = dump_state(self._model, self.save_dtype) if self._model is not None else b""
        return {"cfg": self.cfg, "save_dtype": self.save_dtype, "state": state}

    def _from_message(self, message: Dict[str, Any]) -> None:
        self.cfg = message["cfg"]
        self.save_dtype = message["save_dtype"]
        if message["state"]:
            load_state(self._model, message["state"])


class HeadShim(TorchShim):
    """A network built when its sizes are known: from data, or from what was saved.

    make (Callable): The network's class. settings (Any): What a config says of it. Sizes that
    data decides stand in `cfg` and are saved with the weights.
    """

    def __init__(self, make: Callable[..., torch.nn.Module], **settings: Any) -> None:
        super().__init__(None)
        self.make = make
        self.settings = settings

    def build(self, **sizes: int) -> None:
        """Make a fresh network. sizes (int): By the names of its class."""
        self.cfg.update(sizes)
        self._model = self.make(**self.cfg, **self.settings).to(self.device)

    def _from_message(self, message: Dict[str, Any]) -> None:
        if message["state"]:
            self.build(**message["cfg"])
        super()._from_message(message)
