# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
from typing import Any, Callable, Dict, Iterator, List, NoReturn, Optional, Tuple, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

class UsageError(Exception): ...
class PytestWarning(UserWarning): ...

class OptionGroup:
    def addoption(self, *names: str, **attributes: Any) -> None: ...

class Parser:
    def getgroup(self, name: str, description: str = ...) -> OptionGroup: ...

class PytestPluginManager:
    def hasplugin(self, name: str) -> bool: ...
    def register(self, plugin: object, name: Optional[str] = ...) -> Optional[str]: ...

class TerminalWriter:
    fullwidth: int

class Config:
    pluginmanager: PytestPluginManager
    rootdir: Any
    def addinivalue_line(self, name: str, line: str) -> None: ...
    def getoption(self, name: str) -> Any: ...
    def get_terminal_writer(self) -> TerminalWriter: ...

class Mark:
    name: str
    args: Tuple[Any, ...]
    kwargs: Dict[str, Any]

class Item:
    config: Config
    ihook: Any
    nodeid: str
    user_properties: List[Tuple[str, Any]]
    def iter_markers(self) -> Iterator[Mark]: ...
    def get_closest_marker(self, name: str) -> Optional[Mark]: ...

class Function(Item): ...

class Session:
    exitstatus: int

def hookimpl(hookwrapper: bool = ..., tryfirst: bool = ..., trylast: bool = ...) -> Callable[[_F], _F]: ...
def fail(reason: str, pytrace: bool = ...) -> NoReturn: ...
