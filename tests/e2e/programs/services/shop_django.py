# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A shop under Django, for gunicorn, with a table in memory. Two of its views keep what they were not meant to keep; of
each there is one that was mended. /in_use has what the allocators handed out, before and after the view named by `drop`
lets go of all."""
import collections
import gc
import os

import django
from django.conf import settings

settings.configure(
    DEBUG=False, SECRET_KEY="not one", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], USE_TZ=False,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"])
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 needs the settings, as all of Django
from django.db import connection, models  # noqa: E402
from django.dispatch import Signal  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

from allocated import in_use  # noqa: E402


class Order(models.Model):
    article = models.CharField(max_length=40)
    pieces = models.IntegerField()

    class Meta:
        app_label = "shop"


order_placed = Signal()
ORDERS = 30


class Recent:
    """Orders that a customer saw last."""

    by_customer = {}
    bounded = collections.OrderedDict()


def orders(number):
    found = Order.objects.filter(pieces__gte=0)
    return found, "".join("<li>%s: %d for %d</li>" % (order.article, order.pieces, number) for order in found)


def receivers(request):
    """A receiver for each request, which a signal keeps: it was told not to take weak references."""
    number = int(request.GET["n"])
    seen = ["seen by customer %d" % number] * 100

    def notify(sender, **_):
        seen.append(sender)

    order_placed.connect(notify, weak=False)  # L:receivers
    return HttpResponse(orders(number)[1])


def receivers_fixed(request):
    number = int(request.GET["n"])

    def notify(sender, **_):
        return number

    order_placed.connect(notify, weak=False, dispatch_uid="the one")
    return HttpResponse(orders(number)[1])


def querysets(request):
    number = int(request.GET["n"])
    found, page = orders(number)
    Recent.by_customer[number] = found  # L:querysets
    return HttpResponse(page)


def querysets_fixed(request):
    number = int(request.GET["n"])
    found, page = orders(number)
    Recent.bounded[number] = found
    if len(Recent.bounded) > 10:
        Recent.bounded.popitem(last=False)
    return HttpResponse(page)


def drop_receivers():
    del order_placed.receivers[:]
    order_placed.sender_receivers_cache.clear()


# Functions, so that nothing more refers to what they empty.
DROPS = {"receivers": drop_receivers, "querysets": lambda: Recent.by_customer.clear()}


def told(request):
    gc.collect()
    before = in_use()
    if "drop" in request.GET:
        DROPS[request.GET["drop"]]()
        gc.collect()
    return JsonResponse({"pid": os.getpid(), "before": before, "after": in_use()})


urlpatterns = [path(view.__name__, view)
               for view in (receivers, receivers_fixed, querysets, querysets_fixed)] + [path("in_use", told)]
application = get_wsgi_application()

with connection.schema_editor() as editor:
    editor.create_model(Order)
Order.objects.bulk_create(Order(article="article %d" % n, pieces=n) for n in range(ORDERS))
