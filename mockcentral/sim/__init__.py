"""A whole watch service and its clients in virtual time: no sockets, no threads, no clock but the one in `clock`.

Here may live what moves things between a pure server and pure clients, and what drives them. How a server or a client
behaves is none of its business: `mockcentral._core` and the parties themselves know that.
"""
