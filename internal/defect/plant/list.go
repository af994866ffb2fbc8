package main

import . "github.com/fastnet-go/fastnet/internal/defect"

// planted is a defect with the tests that are meant to notice it. If they do not,
// all others of the packages below are run.
type planted struct {
	name Name
	pkg  string
	test string // a regular expression, as go test -run takes it
}

// packages are those whose tests are built.
var packages = []string{"fastnet", "stack", "dialer", "listener"}

const errorsTest = "TestErrorsAreThoseOfPackageNet/"

var list = []planted{
	{SecondCloseSucceeds, "fastnet", errorsTest + "^two_at_a_time_close"},
	{CloseResets, "fastnet", errorsTest + "^read_after_the_peer's_Close"},
	{LingerIgnored, "fastnet", errorsTest + "^read_after_a_RST"},
	{UnreadDataIsFinished, "fastnet", errorsTest + "^close_with_unread_data"},
	{CloseWriteClosesBoth, "fastnet", "TestHalfClose"},
	{CloseWriteIsLocal, "fastnet", "TestHalfClose"},
	{CloseReadIgnored, "fastnet", errorsTest + "^half_close_of_the_reading"},
	{ReadersSleepOn, "fastnet", errorsTest + "^all_readers_are_woken_by_Close"},
	{HalfCloseLost, "fastnet", "TestHalfClose"},
	{ResetDropsData, "fastnet", errorsTest + "^data_before_a_RST"},
	{ResetIsEOF, "fastnet", errorsTest + "^read_after_a_RST"},
	{ResetIsTold, "fastnet", errorsTest + "^write_after_a_RST"},
	{FirstWriteFails, "fastnet", errorsTest + "^write_after_the_peer's_Close"},
	{ByteTwice, "fastnet", "TestReadFromAndWriteToCopyEverything|TestBuffersAreWrittenInOrder"},
	{PendingReadSleepsOn, "fastnet", errorsTest + "^SetDeadline_ends_Reads"},
	{ReadDeadlineStays, "fastnet", errorsTest + "^deadlines_in_the_past"},
	{WriteDeadlineIgnored, "fastnet", errorsTest + "^deadlines_in_the_past"},
	{KeepAliveIgnored, "fastnet", "TestKeepAliveIsConfigured"},
	{ReadFromDropsTheRest, "fastnet", "TestReadFromAndWriteToCopyEverything"},
	{BuffersTwice, "fastnet", "TestBuffersAreWrittenInOrder"},

	{TruncationTooMuch, "fastnet", errorsTest + "^a_datagram_that_is_longer"},
	{EmptyDatagramLost, "fastnet", "TestDatagramsKeepTheirBorders"},
	{ZoneLost, "fastnet", "TestLinkLocalAddressesHaveZones"},
	{SourceNil, "fastnet", "TestDatagramsKeepTheirBorders"},
	{RefusalLost, "fastnet", errorsTest + "^nobody_at_the_other_end"},
	{ConnectedHearsAll, "fastnet", errorsTest + "^a_connected_socket_hears"},
	{WriteToConnected, "fastnet", errorsTest + "^name_an_address"},
	{MessageTooLong, "fastnet", errorsTest + "^a_datagram_too_large"},
	{FormOfAddress, "fastnet", "TestDatagramsKeepTheirBorders"},
	{DatagramDeadlineOff, "fastnet", errorsTest + "^deadlines_of_a_UDP_socket"},

	{AcceptHangs, "fastnet", errorsTest + "^Close_ends_all_that_wait"},
	{AcceptDeadlineOff, "fastnet", errorsTest + "^accept_after_the_deadline"},
	{BacklogLeaks, "fastnet", errorsTest + "^connections_that_nobody_accepted"},
	{WildcardPortShared, "fastnet", errorsTest + "^two_TCP_listeners"},
	{DialledPortShared, "fastnet", errorsTest + "^listen_on_the_port_of_a_connection"},
	{SamePortTwice, "fastnet", errorsTest + "^sockets_without_a_port"},
	{V6OnlyIgnored, "fastnet", "TestWildcardListeners"},
	{ReusePortIgnored, "fastnet", "TestReusePortSetByControl"},
	{LargePortTruncated, "fastnet", errorsTest + "^dial_impossible_address"},
	{MergeLeaks, "listener", "."},
	{ControlNotCalled, "fastnet", "TestControlIsTold"},

	{ContextIgnored, "fastnet", "TestDialEndsWhileTheNeighbour"},
	{TimeoutIgnored, "fastnet", "TestDialEndsWhileTheNeighbour"},
	{CancelIgnored, "fastnet", "TestDialEndsWhileTheNeighbour"},
	{EndedDialLeaks, "fastnet", "TestDialEndsInTheHandshake"},
	{TypedNil, "fastnet", errorsTest + "^dial_a_port_where"},
	{LoserLeaks, "dialer", "."},
	{FallbackNever, "fastnet", "TestHappyEyeballs"},
	{HintIgnored, "fastnet", errorsTest + "^dial_from_an_address_of_another"},
	{DeadServerAskedOn, "fastnet", "TestAServerThatDoesNotAnswer"},
	{FamilyIgnored, "dialer", "TestResolve"},
	{BindErrorIsConnect, "fastnet", errorsTest + "^dial_from_a_port_in_use"},

	{SourceMissing, "fastnet", errorsTest + "^read_after_a_RST"},
	{AddrMissing, "fastnet", errorsTest + "^addresses_stay"},
	{SyscallMissing, "fastnet", errorsTest + "^read_after_a_RST"},
	{TimeoutUnmarked, "fastnet", errorsTest + "^deadlines_in_the_past"},
	{ClosedUnmarked, "fastnet", errorsTest + "^close_while_calls_wait"},
	{RequireIgnored, "fastnet", "TestRequire"},
	{FallbackUnlogged, "fastnet", "TestWhatOnlyTheKernelHas"},
}
